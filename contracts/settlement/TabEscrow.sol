// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Signers} from "../identity/Signers.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {IDealEscrow} from "../interfaces/IDealEscrow.sol";
import {IReceiveWithAuthorization} from "../interfaces/IReceiveWithAuthorization.sol";
import {ITabEscrow, TabState} from "../interfaces/ITabEscrow.sol";
import {ITrustLedger} from "../interfaces/ITrustLedger.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {StructHash} from "../libraries/StructHash.sol";
import {Tab, TabClaim, TabClosing, Voucher} from "../libraries/Types.sol";
import {Credits} from "./Credits.sol";
import {Consent, Parties} from "./Parties.sol";

/// @notice See ITabEscrow. Invariants are numbered in PROPERTIES.md and in the folder's README.
/// @dev Checks, effects, event, calls; what measures a balance carries a re-entry guard, as in DealEscrow.
contract TabEscrow is ITabEscrow, Credits, EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @dev Two slots a tab; everything else is in the Tab, which the caller presents and the tabId binds.
    struct Account {
        address payer;
        TabState state;
        /// Second (Unix) from which anyone closes; 0 = nobody wishes to.
        uint40 closesAt;
        /// Epoch in which `points` were moved.
        uint32 epoch;
        /// Points of local trust that the tab has moved in `epoch`, at most MAX_POINTS.
        uint8 points;
        uint96 deposit;
        uint96 paid;
        uint32 satisfiedSum;
        uint32 unsatisfiedSum;
    }

    /// @dev Bounds how long money can stay without anybody's consent.
    uint48 internal constant MAX_LIFE = 366 days;
    uint32 internal constant MAX_CHALLENGE_PERIOD = 30 days;
    /// @dev What one deal can move, whatever its price: a tab and epoch gives no more for the gas of a claim.
    uint256 internal constant MAX_POINTS = 100;
    /// @dev As in DealEscrow: what the ledger gets, and what there must be before the call (EIP-150).
    uint256 internal constant RECORD_GAS = 300_000;
    uint256 internal constant RECORD_GAS_REQUIRED = (RECORD_GAS * 64) / 63 + 10_000;

    /// @inheritdoc ITabEscrow
    IBindings public immutable registry;
    /// @inheritdoc ITabEscrow
    ITrustLedger public immutable ledger;
    uint256 private immutable GENESIS;
    uint256 private immutable EPOCH_LENGTH;

    mapping(bytes32 tabId => Account) private _accounts;

    constructor(IBindings registry_, ITrustLedger ledger_) EIP712("SuretyTabEscrow", "1") {
        registry = registry_;
        ledger = ledger_;
        GENESIS = ledger_.genesis();
        EPOCH_LENGTH = ledger_.epochLength();
    }

    /// @inheritdoc ITabEscrow
    function open(Tab calldata tab, uint96 deposit) external payable nonReentrant returns (bytes32 tabId) {
        tabId = StructHash.hash(tab);
        _requireSpeaker(tabId, tab.clientAgentId);
        _open(tabId, tab, deposit, msg.sender);
        _pull(tab.token, deposit);
    }

    /// @inheritdoc ITabEscrow
    function openWithAuthorization(
        Tab calldata tab,
        uint96 deposit,
        IDealEscrow.Party calldata client,
        IDealEscrow.Authorization calldata authorization
    ) external nonReentrant returns (bytes32 tabId) {
        tabId = StructHash.hash(tab);
        _requireConsent(tabId, tabId, tab.clientAgentId, client);
        _open(tabId, tab, deposit, authorization.payer);
        uint256 balanceBefore = IERC20(tab.token).balanceOf(address(this));
        // INVARIANT 5: the token spends the nonce, which is the tabId, and pays nobody but the caller.
        IReceiveWithAuthorization(tab.token).receiveWithAuthorization(
            authorization.payer,
            address(this),
            deposit,
            authorization.validAfter,
            authorization.validBefore,
            tabId,
            authorization.signature
        );
        _requireReceived(tab.token, balanceBefore, deposit);
    }

    /// @inheritdoc ITabEscrow
    function topUp(Tab calldata tab, uint96 amount) external payable nonReentrant {
        (bytes32 tabId, Account storage account) = _requireLive(tab);
        if (amount == 0) revert TabEscrowZeroDeposit();
        uint96 deposit = account.deposit + amount;
        account.deposit = deposit;
        emit TabToppedUp(tabId, msg.sender, amount, deposit);
        _pull(tab.token, amount);
    }

    /// @inheritdoc ITabEscrow
    function claim(
        Tab calldata tab,
        Voucher calldata voucher,
        bytes calldata signer,
        bytes calldata signature,
        bool isLast
    ) external {
        (bytes32 tabId, Account storage account) = _requireLive(tab);
        // INVARIANT: a voucher is the provider's to claim. Else a client could rate whom it never paid for anything.
        _requireSpeaker(tabId, tab.providerAgentId);
        _requireVoucher(tabId, tab, voucher, signer, signature);
        _claim(tabId, tab, account, voucher, isLast);
    }

    /// @inheritdoc ITabEscrow
    function claimFor(
        Tab calldata tab,
        Voucher calldata voucher,
        bytes calldata signer,
        bytes calldata signature,
        bool isLast,
        IDealEscrow.Party calldata provider
    ) external {
        (bytes32 tabId, Account storage account) = _requireLive(tab);
        bytes32 structHash = StructHash.hash(TabClaim(tabId, voucher.paid, isLast));
        _requireConsent(tabId, structHash, tab.providerAgentId, provider);
        _requireVoucher(tabId, tab, voucher, signer, signature);
        _claim(tabId, tab, account, voucher, isLast);
    }

    /// @inheritdoc ITabEscrow
    function startClose(Tab calldata tab) external {
        (bytes32 tabId, Account storage account) = _requireLive(tab);
        _requireSpeaker(tabId, tab.clientAgentId);
        _startClose(tabId, tab, account);
    }

    /// @inheritdoc ITabEscrow
    function startCloseFor(Tab calldata tab, IDealEscrow.Party calldata client) external {
        (bytes32 tabId, Account storage account) = _requireLive(tab);
        _requireConsent(tabId, StructHash.hash(TabClosing(tabId)), tab.clientAgentId, client);
        _startClose(tabId, tab, account);
    }

    /// @inheritdoc ITabEscrow
    function close(Tab calldata tab) external {
        (bytes32 tabId, Account storage account) = _requireLive(tab);
        uint256 closesAt = account.closesAt;
        // INVARIANT 4: no tab is locked for ever, whoever is gone.
        uint256 opensToAll = uint256(tab.expiry) + 1;
        if (closesAt != 0 && closesAt < opensToAll) opensToAll = closesAt;
        // Before, the provider alone: it gives up its own claims.
        if (block.timestamp < opensToAll && !Parties.speaksFor(registry, tab.providerAgentId, msg.sender))
            revert TabEscrowTooEarly(tabId, opensToAll, block.timestamp);
        _close(tabId, tab, account);
    }

    /// @inheritdoc ITabEscrow
    function closeFor(Tab calldata tab, IDealEscrow.Party calldata provider) external {
        (bytes32 tabId, Account storage account) = _requireLive(tab);
        _requireConsent(tabId, StructHash.hash(TabClosing(tabId)), tab.providerAgentId, provider);
        _close(tabId, tab, account);
    }

    /// @inheritdoc ITabEscrow
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
        )
    {
        Account memory account = _accounts[tabId];
        return (
            account.state,
            account.payer,
            account.closesAt,
            account.deposit,
            account.paid,
            account.satisfiedSum,
            account.unsatisfiedSum
        );
    }

    /// @inheritdoc ITabEscrow
    function hashTab(Tab calldata tab) external pure returns (bytes32 tabId) {
        return StructHash.hash(tab);
    }

    /// @inheritdoc ITabEscrow
    function digestOfStruct(bytes32 structHash) external view returns (bytes32) {
        return _hashTypedDataV4(structHash);
    }

    function _open(bytes32 tabId, Tab calldata tab, uint96 deposit, address payer) private {
        // INVARIANT 5: a tabId leaves None once.
        TabState state = _accounts[tabId].state;
        if (state != TabState.None) revert TabEscrowWrongState(tabId, state);
        if (deposit == 0) revert TabEscrowZeroDeposit();
        if (tab.token != address(0) && tab.token.code.length == 0) revert TabEscrowBadToken(tab.token);
        if (tab.expiry <= block.timestamp || tab.expiry > block.timestamp + MAX_LIFE)
            revert TabEscrowBadExpiry(tab.expiry, block.timestamp + 1, block.timestamp + MAX_LIFE);
        if (tab.challengePeriod > MAX_CHALLENGE_PERIOD)
            revert TabEscrowBadChallengePeriod(tab.challengePeriod, MAX_CHALLENGE_PERIOD);
        if (tab.clientAgentId == tab.providerAgentId) revert TabEscrowSelfTab(tab.clientAgentId);
        if (tab.topic != 0) {
            // The ledger's seats hold 32 bits of an agent id.
            _requireLedgerId(tab.clientAgentId);
            _requireLedgerId(tab.providerAgentId);
        }
        if (!registry.isSignerValidAt(tab.clientAgentId, tab.signerHash, Signers.LOG, block.timestamp))
            revert TabEscrowInvalidSigner(tab.clientAgentId, tab.signerHash);

        Account storage account = _accounts[tabId];
        account.payer = payer;
        account.state = TabState.Open;
        account.deposit = deposit;
        emit TabOpened(tabId, tab.clientAgentId, tab.providerAgentId, payer, deposit, tab);
    }

    function _claim(
        bytes32 tabId,
        Tab calldata tab,
        Account storage account,
        Voucher calldata voucher,
        bool isLast
    ) private {
        uint256 before = account.paid;
        // INVARIANT 5: the sum only grows, so that no voucher pays twice.
        if (voucher.paid <= before) revert TabEscrowStaleVoucher(tabId, voucher.paid, before);
        if (voucher.paid > account.deposit) revert TabEscrowExceedsDeposit(tabId, voucher.paid, account.deposit);
        if (voucher.satisfied < account.satisfiedSum || voucher.unsatisfied < account.unsatisfiedSum)
            revert TabEscrowShrunkRatings(tabId, account.satisfiedSum, account.unsatisfiedSum);
        address payee = Parties.payeeOf(registry, tab.providerAgentId);

        uint256 amount = voucher.paid - before;
        (uint24 satisfied, uint24 unsatisfied) = _count(
            account,
            tab.topic,
            voucher.satisfied - account.satisfiedSum,
            voucher.unsatisfied - account.unsatisfiedSum
        );
        account.paid = voucher.paid;
        account.satisfiedSum = voucher.satisfied;
        account.unsatisfiedSum = voucher.unsatisfied;
        emit TabClaimed(
            tabId,
            payee,
            amount,
            voucher.paid,
            voucher.seq,
            voucher.satisfied,
            voucher.unsatisfied,
            satisfied,
            unsatisfied
        );
        if (satisfied + unsatisfied != 0) _record(tabId, tab, satisfied, unsatisfied);
        if (isLast) _close(tabId, tab, account);
        _pay(tab.token, payee, amount);
    }

    /// @dev INVARIANT: a tab moves at most MAX_POINTS an epoch; what exceeds them is scaled down, the satisfied part rounded
    /// down. @return the points that count
    function _count(
        Account storage account,
        uint64 topic,
        uint256 satisfied,
        uint256 unsatisfied
    ) private returns (uint24, uint24) {
        uint256 total = satisfied + unsatisfied;
        if (topic == 0 || total == 0) return (0, 0);
        uint32 epoch = uint32((block.timestamp - GENESIS) / EPOCH_LENGTH + 1);
        uint256 moved = account.epoch == epoch ? account.points : 0;
        uint256 left = MAX_POINTS - moved;
        if (total > left) {
            satisfied = (satisfied * left) / total;
            unsatisfied = left - satisfied;
        }
        account.epoch = epoch;
        account.points = uint8(moved + satisfied + unsatisfied);
        return (uint24(satisfied), uint24(unsatisfied));
    }

    function _startClose(bytes32 tabId, Tab calldata tab, Account storage account) private {
        // A second wish would put the end off, or pull it forward.
        if (account.closesAt != 0) revert TabEscrowWrongState(tabId, TabState.Closing);
        uint40 closesAt = uint40(block.timestamp) + tab.challengePeriod;
        account.closesAt = closesAt;
        account.state = TabState.Closing;
        emit TabCloseStarted(tabId, closesAt);
    }

    /// @dev INVARIANT 3: once a tab; what was not claimed is what goes back.
    function _close(bytes32 tabId, Tab calldata tab, Account storage account) private {
        address payer = account.payer;
        uint256 amount = account.deposit - account.paid;
        account.state = TabState.Closed;
        emit TabClosed(tabId, payer, amount);
        _pay(tab.token, payer, amount);
    }

    /// @dev INVARIANT 11: with each claim at most once. Before the payment, so that a token cannot starve it of gas.
    function _record(bytes32 tabId, Tab calldata tab, uint24 satisfied, uint24 unsatisfied) private {
        if (gasleft() < RECORD_GAS_REQUIRED) revert TabEscrowLowGas(gasleft(), RECORD_GAS_REQUIRED);
        // INVARIANT 7: whatever the ledger does, the money moves. _open made the ids fit.
        try
            ledger.record{gas: RECORD_GAS}(
                tab.topic,
                uint32(tab.clientAgentId),
                uint32(tab.providerAgentId),
                satisfied,
                unsatisfied
            )
        {} catch {
            emit LocalTrustSkipped(tabId);
        }
    }

    function _pull(address token, uint256 amount) private {
        if (msg.value != (token == address(0) ? amount : 0))
            revert TabEscrowWrongValue(token == address(0) ? amount : 0, msg.value);
        if (token == address(0)) return;
        uint256 balanceBefore = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        _requireReceived(token, balanceBefore, amount);
    }

    function _requireReceived(address token, uint256 balanceBefore, uint256 expected) private view {
        uint256 balance = IERC20(token).balanceOf(address(this));
        uint256 received = balance > balanceBefore ? balance - balanceBefore : 0;
        // INVARIANT 8: what is booked has arrived, to the unit.
        if (received != expected) revert TabEscrowShortfall(token, expected, received);
    }

    function _requireLive(Tab calldata tab) private view returns (bytes32 tabId, Account storage account) {
        tabId = StructHash.hash(tab);
        account = _accounts[tabId];
        TabState state = account.state;
        if (state != TabState.Open && state != TabState.Closing) revert TabEscrowWrongState(tabId, state);
    }

    /// @dev The key is the one that the tab names, whatever became of it since: nobody takes a voucher back.
    function _requireVoucher(
        bytes32 tabId,
        Tab calldata tab,
        Voucher calldata voucher,
        bytes calldata signer,
        bytes calldata signature
    ) private view {
        if (voucher.tabId != tabId) revert TabEscrowForeignVoucher(tabId, voucher.tabId);
        bytes32 digest = _hashTypedDataV4(StructHash.hash(voucher));
        if (keccak256(signer) != tab.signerHash || !Signatures.isValid(signer, digest, signature))
            revert TabEscrowBadVoucherSignature(tabId, tab.signerHash);
    }

    function _requireLedgerId(uint256 agentId) private pure {
        if (agentId > type(uint32).max) revert TabEscrowAgentIdTooLarge(agentId, type(uint32).max);
    }

    function _requireConsent(
        bytes32 tabId,
        bytes32 structHash,
        uint256 agentId,
        IDealEscrow.Party calldata party
    ) private view {
        Consent consent = Parties.consentOf(registry, agentId, _hashTypedDataV4(structHash), party);
        if (consent == Consent.Valid) return;
        if (consent == Consent.InvalidSigner) revert TabEscrowInvalidSigner(agentId, keccak256(party.signer));
        revert TabEscrowBadSignature(tabId, agentId);
    }

    function _requireSpeaker(bytes32 tabId, uint256 agentId) private view {
        if (!Parties.speaksFor(registry, agentId, msg.sender)) revert TabEscrowNotParty(tabId, agentId, msg.sender);
    }
}
