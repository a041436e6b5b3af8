// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Tab, Voucher} from "../libraries/Types.sol";
import {IBindings} from "./IBindings.sol";
import {ICredits} from "./ICredits.sol";
import {IDealEscrow} from "./IDealEscrow.sol";
import {ITrustLedger} from "./ITrustLedger.sol";

/// @notice Where a tab stands. None = unknown to the chain.
enum TabState {
    None,
    Open,
    Closing,
    Closed
}

/// @title Many small tasks, one settlement
/// @notice A client opens a tab to a provider; off chain it answers each task with a cumulative voucher; the provider claims
/// the newest whenever it likes; the client closes with a challenge period, the provider at once, anyone after expiry.
/// Vouchers are checked against the one key that the tab names: a client cannot take them back by revoking it.
/// Local trust: only a claim moves it, only by the provider's consent, only with money paid, and by at most 100 points a tab
/// and epoch, as one deal does; ratings beyond are scaled down in proportion, the satisfied ones rounded down. Of two vouchers
/// the newer is the one that pays more: a claim has to pay.
interface ITabEscrow is ICredits {
    event TabOpened(
        bytes32 indexed tabId,
        uint256 indexed clientAgentId,
        uint256 indexed providerAgentId,
        address payer,
        uint256 deposit,
        Tab tab
    );
    /// @param deposit after the addition
    event TabToppedUp(bytes32 indexed tabId, address indexed from, uint256 amount, uint256 deposit);
    /// @param amount now, to the provider's payee
    /// @param paid on the tab so far, this claim included
    /// @param satisfied points that this claim moved
    /// @param unsatisfied points that this claim moved
    event TabClaimed(
        bytes32 indexed tabId,
        address indexed payee,
        uint256 amount,
        uint256 paid,
        uint64 seq,
        uint32 satisfiedSum,
        uint32 unsatisfiedSum,
        uint24 satisfied,
        uint24 unsatisfied
    );
    event TabCloseStarted(bytes32 indexed tabId, uint48 closesAt);
    /// @param amount of the deposit that went back to the payer
    event TabClosed(bytes32 indexed tabId, address indexed payer, uint256 amount);
    event LocalTrustSkipped(bytes32 indexed tabId);

    error TabEscrowWrongState(bytes32 tabId, TabState current);
    error TabEscrowSelfTab(uint256 agentId);
    error TabEscrowAgentIdTooLarge(uint256 agentId, uint256 max);
    error TabEscrowInvalidSigner(uint256 agentId, bytes32 signerHash);
    error TabEscrowBadSignature(bytes32 tabId, uint256 agentId);
    error TabEscrowNotParty(bytes32 tabId, uint256 agentId, address caller);
    error TabEscrowBadExpiry(uint48 given, uint256 min, uint256 max);
    error TabEscrowBadChallengePeriod(uint32 given, uint32 max);
    error TabEscrowBadToken(address token);
    error TabEscrowZeroDeposit();
    error TabEscrowWrongValue(uint256 expected, uint256 given);
    error TabEscrowShortfall(address token, uint256 expected, uint256 received);
    error TabEscrowForeignVoucher(bytes32 tabId, bytes32 given);
    error TabEscrowStaleVoucher(bytes32 tabId, uint256 given, uint256 claimed);
    error TabEscrowShrunkRatings(bytes32 tabId, uint32 satisfiedSum, uint32 unsatisfiedSum);
    error TabEscrowBadVoucherSignature(bytes32 tabId, bytes32 signerHash);
    error TabEscrowExceedsDeposit(bytes32 tabId, uint256 paid, uint256 deposit);
    error TabEscrowTooEarly(bytes32 tabId, uint256 notBefore, uint256 now_);
    error TabEscrowTooLate(bytes32 tabId, uint256 deadline, uint256 now_);
    error TabEscrowLowGas(uint256 available, uint256 required);

    /// @notice Opens a tab; the caller speaks for the client, and pays the deposit by allowance or as the call's value.
    function open(Tab calldata tab, uint96 deposit) external payable returns (bytes32 tabId);

    /// @notice Opens a tab on the client's signature over Tab, paid by an EIP-3009 authorization with nonce = tabId; anyone may
    /// relay it.
    function openWithAuthorization(
        Tab calldata tab,
        uint96 deposit,
        IDealEscrow.Party calldata client,
        IDealEscrow.Authorization calldata authorization
    ) external returns (bytes32 tabId);

    /// @notice Adds to the deposit of an open tab; what is left in the end returns to the tab's payer, whoever added it.
    function topUp(Tab calldata tab, uint96 amount) external payable;

    /// @notice Pays what a voucher adds to those claimed before, until the tab is closed. The caller speaks for the provider.
    /// @param signer ERC-7913 bytes behind the tab's signerHash
    /// @param signature the signer's over Voucher
    /// @param isLast true: the tab closes with this claim, and its rest goes back to the payer
    function claim(
        Tab calldata tab,
        Voucher calldata voucher,
        bytes calldata signer,
        bytes calldata signature,
        bool isLast
    ) external;

    /// @notice The same by the provider's signature over TabClaim.
    function claimFor(
        Tab calldata tab,
        Voucher calldata voucher,
        bytes calldata signer,
        bytes calldata signature,
        bool isLast,
        IDealEscrow.Party calldata provider
    ) external;

    /// @notice The client wishes to close; from now + challengePeriod on anyone closes. The caller speaks for the client.
    function startClose(Tab calldata tab) external;

    /// @notice The same by the client's signature over TabClosing.
    function startCloseFor(Tab calldata tab, IDealEscrow.Party calldata client) external;

    /// @notice Returns what was not claimed to the payer: by anyone after expiry or from closesAt on, by the provider at any time.
    function close(Tab calldata tab) external;

    /// @notice The provider's closing by its signature over TabClosing.
    function closeFor(Tab calldata tab, IDealEscrow.Party calldata provider) external;

    /// @notice A tab as it stands; closesAt 0 = nobody wishes to close.
    function tabOf(
        bytes32 tabId
    )
        external
        view
        returns (
            TabState state,
            address payer,
            uint48 closesAt,
            uint96 deposit,
            uint96 paid,
            uint32 satisfiedSum,
            uint32 unsatisfiedSum
        );

    /// @notice EIP-712 struct hash of a tab's terms.
    function hashTab(Tab calldata tab) external pure returns (bytes32 tabId);

    /// @notice EIP-712 digest of any struct of this domain.
    function digestOfStruct(bytes32 structHash) external view returns (bytes32);

    function registry() external view returns (IBindings);

    function ledger() external view returns (ITrustLedger);
}
