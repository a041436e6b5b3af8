// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC8004Validation} from "./IERC8004Validation.sol";

/// @title Validations that nobody can overwrite, squat or give to himself
/// @notice ERC-8004's validation registry. A request is known by agent, validator and hash together: nobody can take another's
/// hash by being first. Every answer stays in the history. Every view has a bound or a page.
interface IValidationRegistry is IERC8004Validation {
    /// @notice One answer.
    struct Answer {
        uint8 response;
        /// Second (Unix) of the answer.
        uint48 time;
        bytes32 responseHash;
        string tag;
    }

    error ValidationZeroValidator(uint256 agentId);
    error ValidationSelf(uint256 agentId, address validatorAddress);
    error ValidationNotAuthorized(uint256 agentId, address caller);
    error ValidationExists(bytes32 requestHash, uint256 agentId, address validatorAddress);
    error ValidationUnknown(bytes32 requestHash, address validatorAddress);
    /// @dev Several agents asked this validator with the same hash: answer with `validationResponseFor`.
    error ValidationAmbiguous(bytes32 requestHash, address validatorAddress);
    error ValidationResponseTooLarge(uint8 given, uint8 max);
    error ValidationTagTooLong(uint256 length, uint256 max);
    /// @dev Ask the paged twin of the view instead.
    error ValidationTooMany(uint256 count, uint256 max);

    /// @notice As `validationResponse`, naming the agent: needed when several asked the caller with one hash.
    function validationResponseFor(
        uint256 agentId,
        bytes32 requestHash,
        uint8 response,
        string calldata responseURI,
        bytes32 responseHash,
        string calldata tag
    ) external;

    /// @notice Number of answers and the last of them; none = zero and empty. Reverts for an unknown request.
    function getValidationOf(
        bytes32 requestHash,
        uint256 agentId,
        address validatorAddress
    ) external view returns (uint48 requestedAt, uint256 answerCount, Answer memory last);

    /// @notice Answers from the oldest, [from, min(to, count)).
    function getValidationHistory(
        bytes32 requestHash,
        uint256 agentId,
        address validatorAddress,
        uint256 from,
        uint256 to
    ) external view returns (Answer[] memory answers);

    /// @notice Part of a summary: requests [from, min(to, count)) of the agent. Parts add up.
    function summarizePage(
        uint256 agentId,
        address[] calldata validatorAddresses,
        string calldata tag,
        uint256 from,
        uint256 to
    ) external view returns (uint64 count, uint256 sum);

    /// @notice Hashes of the agent's requests [from, min(to, count)).
    function getAgentValidationsPage(
        uint256 agentId,
        uint256 from,
        uint256 to
    ) external view returns (bytes32[] memory requestHashes);

    /// @notice Hashes of the validator's requests [from, min(to, count)).
    function getValidatorRequestsPage(
        address validatorAddress,
        uint256 from,
        uint256 to
    ) external view returns (bytes32[] memory requestHashes);
}
