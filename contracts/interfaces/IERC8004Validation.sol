// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Validation registry of ERC-8004, v2.0.0
/// @notice Functions and events are the standard's to the letter. Only the errors are ours: the reference reverts with strings.
interface IERC8004Validation {
    event ValidationRequest(
        address indexed validatorAddress,
        uint256 indexed agentId,
        string requestURI,
        bytes32 indexed requestHash
    );
    event ValidationResponse(
        address indexed validatorAddress,
        uint256 indexed agentId,
        bytes32 indexed requestHash,
        uint8 response,
        string responseURI,
        bytes32 responseHash,
        string tag
    );

    /// @notice Asks a validator about an agent. The caller is the agent's owner or approved.
    /// @param requestHash keccak256 of the request's content
    function validationRequest(
        address validatorAddress,
        uint256 agentId,
        string calldata requestURI,
        bytes32 requestHash
    ) external;

    /// @notice The asked validator's answer, 0-100; a later one stands for the earlier ones, which stay.
    function validationResponse(
        bytes32 requestHash,
        uint8 response,
        string calldata responseURI,
        bytes32 responseHash,
        string calldata tag
    ) external;

    function getIdentityRegistry() external view returns (address);

    /// @notice The last answer to a request, or the request as it was made; of several with one hash the first.
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
        );

    /// @notice Count and mean of the last answers about an agent.
    /// @param validatorAddresses empty = all
    /// @param tag empty = any
    function getSummary(
        uint256 agentId,
        address[] calldata validatorAddresses,
        string calldata tag
    ) external view returns (uint64 count, uint8 avgResponse);

    /// @notice Hashes of the requests about an agent, in order.
    function getAgentValidations(uint256 agentId) external view returns (bytes32[] memory requestHashes);

    /// @notice Hashes of the requests to a validator, in order.
    function getValidatorRequests(address validatorAddress) external view returns (bytes32[] memory requestHashes);

    function getVersion() external pure returns (string memory);
}
