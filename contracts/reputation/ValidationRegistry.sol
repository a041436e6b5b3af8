// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBindings} from "../interfaces/IBindings.sol";
import {IERC8004Identity} from "../interfaces/IERC8004Identity.sol";
import {IERC8004Validation} from "../interfaces/IERC8004Validation.sol";
import {IValidationRegistry} from "../interfaces/IValidationRegistry.sol";
import {TagFilter, TagTable, TagTables} from "../libraries/TagTable.sol";

/// @notice See IValidationRegistry; why it is built so stands in the folder's README.
contract ValidationRegistry is IValidationRegistry {
    using TagTables for TagTable;
    using TagTables for TagFilter;

    /// @dev Two slots.
    struct StoredAnswer {
        uint8 response;
        uint48 time;
        uint40 tag;
        bytes32 responseHash;
    }

    struct Request {
        address validatorAddress;
        uint48 requestedAt;
        uint256 agentId;
        bytes32 requestHash;
        StoredAnswer[] answers;
    }

    /// @dev What a summary counts; no validators = all.
    struct Filter {
        address[] validators;
        TagFilter tag;
    }

    uint8 private constant MAX_RESPONSE = 100;
    /// @dev As for feedback.
    uint256 private constant MAX_TAG_LENGTH = 128;
    /// @dev Steps of one view: requests read, times validators compared. As many fit one transaction (EIP-7825).
    uint256 private constant MAX_SCAN = 2_048;
    /// @dev Stands for "several agents asked this validator with this hash". No key is this number.
    bytes32 private constant AMBIGUOUS = bytes32(type(uint256).max);

    IBindings private immutable _registry;

    TagTable private _tags;
    mapping(bytes32 key => Request) private _requests;
    /// @dev The first request of a hash, whoever it is about.
    mapping(bytes32 requestHash => bytes32 key) private _firstOf;
    /// @dev The only request of a hash to a validator, or AMBIGUOUS.
    mapping(bytes32 requestHash => mapping(address validator => bytes32 key)) private _onlyOf;
    mapping(uint256 agentId => bytes32[] keys) private _ofAgent;
    mapping(address validator => bytes32[] keys) private _ofValidator;

    constructor(IBindings registry_) {
        _registry = registry_;
    }

    /// @inheritdoc IERC8004Validation
    function validationRequest(
        address validatorAddress,
        uint256 agentId,
        string calldata requestURI,
        bytes32 requestHash
    ) external {
        if (validatorAddress == address(0)) revert ValidationZeroValidator(agentId);
        if (!_identity().isAuthorizedOrOwner(msg.sender, agentId)) revert ValidationNotAuthorized(agentId, msg.sender);
        _requireOther(agentId, validatorAddress);
        // INVARIANT: the id binds whom it is about and who answers; a hash alone belongs to nobody.
        bytes32 key = _keyOf(requestHash, agentId, validatorAddress);
        Request storage request = _requests[key];
        if (request.requestedAt != 0) revert ValidationExists(requestHash, agentId, validatorAddress);

        request.validatorAddress = validatorAddress;
        request.requestedAt = uint48(block.timestamp);
        request.agentId = agentId;
        request.requestHash = requestHash;
        if (_firstOf[requestHash] == 0) _firstOf[requestHash] = key;
        _onlyOf[requestHash][validatorAddress] = _onlyOf[requestHash][validatorAddress] == 0 ? key : AMBIGUOUS;
        _ofAgent[agentId].push(key);
        _ofValidator[validatorAddress].push(key);
        emit ValidationRequest(validatorAddress, agentId, requestURI, requestHash);
    }

    /// @inheritdoc IERC8004Validation
    function validationResponse(
        bytes32 requestHash,
        uint8 response,
        string calldata responseURI,
        bytes32 responseHash,
        string calldata tag
    ) external {
        bytes32 key = _onlyOf[requestHash][msg.sender];
        if (key == AMBIGUOUS) revert ValidationAmbiguous(requestHash, msg.sender);
        _respond(key, requestHash, response, responseURI, responseHash, tag);
    }

    /// @inheritdoc IValidationRegistry
    function validationResponseFor(
        uint256 agentId,
        bytes32 requestHash,
        uint8 response,
        string calldata responseURI,
        bytes32 responseHash,
        string calldata tag
    ) external {
        bytes32 key = _keyOf(requestHash, agentId, msg.sender);
        _respond(key, requestHash, response, responseURI, responseHash, tag);
    }

    /// @inheritdoc IERC8004Validation
    function getValidationStatus(
        bytes32 requestHash
    )
        external
        view
        returns (
            address validatorAddress,
            uint256 agentId,
            uint8 response,
            bytes32 responseHash,
            string memory tag,
            uint256 lastUpdate
        )
    {
        Request storage request = _requireRequest(_firstOf[requestHash], requestHash, address(0));
        Answer memory last = _lastAnswer(request);
        lastUpdate = last.time == 0 ? request.requestedAt : last.time;
        return (request.validatorAddress, request.agentId, last.response, last.responseHash, last.tag, lastUpdate);
    }

    /// @inheritdoc IValidationRegistry
    function getValidationOf(
        bytes32 requestHash,
        uint256 agentId,
        address validatorAddress
    ) external view returns (uint48 requestedAt, uint256 answerCount, Answer memory last) {
        bytes32 key = _keyOf(requestHash, agentId, validatorAddress);
        Request storage request = _requireRequest(key, requestHash, validatorAddress);
        return (request.requestedAt, request.answers.length, _lastAnswer(request));
    }

    /// @inheritdoc IValidationRegistry
    function getValidationHistory(
        bytes32 requestHash,
        uint256 agentId,
        address validatorAddress,
        uint256 from,
        uint256 to
    ) external view returns (Answer[] memory answers) {
        bytes32 key = _keyOf(requestHash, agentId, validatorAddress);
        Request storage request = _requireRequest(key, requestHash, validatorAddress);
        uint256 count = _pageLength(request.answers.length, from, to);
        answers = new Answer[](count);
        for (uint256 i = 0; i < count; ++i) answers[i] = _answerAt(request, from + i);
    }

    /// @inheritdoc IERC8004Validation
    function getSummary(
        uint256 agentId,
        address[] calldata validatorAddresses,
        string calldata tag
    ) external view returns (uint64 count, uint8 avgResponse) {
        uint256 sum;
        (count, sum) = _summarize(agentId, validatorAddresses, tag, 0, type(uint256).max);
        if (count != 0) avgResponse = uint8(sum / count);
    }

    /// @inheritdoc IValidationRegistry
    function summarizePage(
        uint256 agentId,
        address[] calldata validatorAddresses,
        string calldata tag,
        uint256 from,
        uint256 to
    ) external view returns (uint64 count, uint256 sum) {
        return _summarize(agentId, validatorAddresses, tag, from, to);
    }

    /// @inheritdoc IERC8004Validation
    function getAgentValidations(uint256 agentId) external view returns (bytes32[] memory requestHashes) {
        return _hashesOf(_ofAgent[agentId], 0, type(uint256).max);
    }

    /// @inheritdoc IValidationRegistry
    function getAgentValidationsPage(
        uint256 agentId,
        uint256 from,
        uint256 to
    ) external view returns (bytes32[] memory requestHashes) {
        return _hashesOf(_ofAgent[agentId], from, to);
    }

    /// @inheritdoc IERC8004Validation
    function getValidatorRequests(address validatorAddress) external view returns (bytes32[] memory requestHashes) {
        return _hashesOf(_ofValidator[validatorAddress], 0, type(uint256).max);
    }

    /// @inheritdoc IValidationRegistry
    function getValidatorRequestsPage(
        address validatorAddress,
        uint256 from,
        uint256 to
    ) external view returns (bytes32[] memory requestHashes) {
        return _hashesOf(_ofValidator[validatorAddress], from, to);
    }

    /// @inheritdoc IERC8004Validation
    function getIdentityRegistry() external view returns (address) {
        return address(_registry);
    }

    /// @inheritdoc IERC8004Validation
    function getVersion() external pure returns (string memory) {
        return "2.0.0";
    }

    function _respond(
        bytes32 key,
        bytes32 requestHash,
        uint8 response,
        string calldata responseURI,
        bytes32 responseHash,
        string calldata tag
    ) private {
        Request storage request = _requireRequest(key, requestHash, msg.sender);
        if (response > MAX_RESPONSE) revert ValidationResponseTooLarge(response, MAX_RESPONSE);
        if (bytes(tag).length > MAX_TAG_LENGTH) revert ValidationTagTooLong(bytes(tag).length, MAX_TAG_LENGTH);
        uint256 agentId = request.agentId;
        // The agent may have become the validator's since it was asked.
        _requireOther(agentId, msg.sender);

        // INVARIANT: answers are added, never replaced.
        request.answers.push(
            StoredAnswer({
                response: response,
                time: uint48(block.timestamp),
                tag: _tags.intern(tag),
                responseHash: responseHash
            })
        );
        emit ValidationResponse(msg.sender, agentId, requestHash, response, responseURI, responseHash, tag);
    }

    /// @dev INVARIANT: no agent is validated by its owner, an approved account, its wallet or one of its signers.
    function _requireOther(uint256 agentId, address validatorAddress) private view {
        IERC8004Identity identity = _identity();
        if (
            identity.isAuthorizedOrOwner(validatorAddress, agentId) ||
            identity.getAgentWallet(agentId) == validatorAddress ||
            _registry.agentOfSigner(keccak256(abi.encodePacked(validatorAddress))) == agentId
        ) revert ValidationSelf(agentId, validatorAddress);
    }

    function _requireRequest(
        bytes32 key,
        bytes32 requestHash,
        address validatorAddress
    ) private view returns (Request storage request) {
        request = _requests[key];
        if (request.requestedAt == 0) revert ValidationUnknown(requestHash, validatorAddress);
    }

    function _summarize(
        uint256 agentId,
        address[] calldata validators,
        string calldata tag,
        uint256 from,
        uint256 to
    ) private view returns (uint64 count, uint256 sum) {
        Filter memory filter = Filter(validators, _tags.filter(tag));
        bytes32[] storage keys = _ofAgent[agentId];
        uint256 length = _pageLength(keys.length, from, to);
        uint256 steps = length * (validators.length + 1);
        if (steps > MAX_SCAN) revert ValidationTooMany(steps, MAX_SCAN);
        for (uint256 i = 0; i < length; ++i) {
            (bool isCounted, uint8 response) = _lastIfPasses(_requests[keys[from + i]], filter);
            if (!isCounted) continue;
            ++count;
            sum += response;
        }
    }

    function _lastIfPasses(
        Request storage request,
        Filter memory filter
    ) private view returns (bool isPassing, uint8 response) {
        uint256 count = request.answers.length;
        if (count == 0 || !_isAmong(request.validatorAddress, filter.validators)) return (false, 0);
        StoredAnswer storage last = request.answers[count - 1];
        return (filter.tag.lets(last.tag), last.response);
    }

    function _isAmong(address validator, address[] memory validators) private pure returns (bool) {
        for (uint256 i = 0; i < validators.length; ++i) if (validators[i] == validator) return true;
        return validators.length == 0;
    }

    function _hashesOf(
        bytes32[] storage keys,
        uint256 from,
        uint256 to
    ) private view returns (bytes32[] memory requestHashes) {
        uint256 length = _pageLength(keys.length, from, to);
        requestHashes = new bytes32[](length);
        for (uint256 i = 0; i < length; ++i) requestHashes[i] = _requests[keys[from + i]].requestHash;
    }

    function _lastAnswer(Request storage request) private view returns (Answer memory last) {
        uint256 count = request.answers.length;
        if (count != 0) last = _answerAt(request, count - 1);
    }

    function _answerAt(Request storage request, uint256 position) private view returns (Answer memory) {
        StoredAnswer memory stored = request.answers[position];
        return
            Answer({
                response: stored.response,
                time: stored.time,
                responseHash: stored.responseHash,
                tag: _tags.read(stored.tag)
            });
    }

    /// @dev Length of [from, min(to, count)).
    function _pageLength(uint256 count, uint256 from, uint256 to) private pure returns (uint256 length) {
        uint256 end = to < count ? to : count;
        length = end > from ? end - from : 0;
        if (length > MAX_SCAN) revert ValidationTooMany(length, MAX_SCAN);
    }

    function _keyOf(bytes32 requestHash, uint256 agentId, address validator) private pure returns (bytes32) {
        return keccak256(abi.encode(requestHash, agentId, validator));
    }

    function _identity() private view returns (IERC8004Identity) {
        return IERC8004Identity(address(_registry));
    }
}
