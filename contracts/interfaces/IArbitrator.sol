// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title A contract that asks for rulings (ERC-792)
interface IArbitrable {
    /// @notice To be emitted when a ruling is given.
    event Ruling(IArbitrator indexed _arbitrator, uint256 indexed _disputeID, uint256 _ruling);

    /// @notice Gives a ruling; the caller is the dispute's arbitrator. 0 is reserved for "refused to arbitrate".
    function rule(uint256 _disputeID, uint256 _ruling) external;
}

/// @title A contract that gives rulings (ERC-792)
/// @notice Names and signatures are the standard's. Kleros v2's court has the first two functions and the call of `rule`
/// in the same form, which is all that a deal needs of it.
interface IArbitrator {
    enum DisputeStatus {
        Waiting,
        Appealable,
        Solved
    }

    event DisputeCreation(uint256 indexed _disputeID, IArbitrable indexed _arbitrable);
    event AppealPossible(uint256 indexed _disputeID, IArbitrable indexed _arbitrable);
    event AppealDecision(uint256 indexed _disputeID, IArbitrable indexed _arbitrable);

    /// @notice Creates a dispute of the calling arbitrable; paid with arbitrationCost(_extraData).
    function createDispute(uint256 _choices, bytes calldata _extraData) external payable returns (uint256 disputeID);

    function arbitrationCost(bytes calldata _extraData) external view returns (uint256 cost);

    /// @notice Appeals a ruling; paid with appealCost(_disputeID, _extraData).
    function appeal(uint256 _disputeID, bytes calldata _extraData) external payable;

    function appealCost(uint256 _disputeID, bytes calldata _extraData) external view returns (uint256 cost);

    function appealPeriod(uint256 _disputeID) external view returns (uint256 start, uint256 end);

    function disputeStatus(uint256 _disputeID) external view returns (DisputeStatus status);

    function currentRuling(uint256 _disputeID) external view returns (uint256 ruling);
}

/// @title Evidence of a dispute (ERC-1497)
interface IEvidence {
    event MetaEvidence(uint256 indexed _metaEvidenceID, string _evidence);
    event Evidence(
        IArbitrator indexed _arbitrator,
        uint256 indexed _evidenceGroupID,
        address indexed _party,
        string _evidence
    );
    event Dispute(
        IArbitrator indexed _arbitrator,
        uint256 indexed _disputeID,
        uint256 _metaEvidenceID,
        uint256 _evidenceGroupID
    );
}
