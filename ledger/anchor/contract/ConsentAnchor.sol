// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Sizes and roots of append-only logs, for whoever does not trust who keeps them. ledger.md §5
/// A log's writer anchors ever larger trees, one after the other; its admin may give the writing to another address after a delay that everybody
/// can see, and both can end it for ever. Nobody can change what was anchored. There is no owner, no upgrade and no ether.
contract ConsentAnchor {
    /// One slot. A writer of zero: never opened, or frozen.
    struct Log {
        address writer;
        uint48 seq;
        uint48 size;
    }

    struct Rotation {
        address writer;
        uint64 notBefore;
    }

    event Opened(bytes32 indexed logId, bytes32 name, address indexed admin, address writer);
    event Anchored(bytes32 indexed logId, uint48 seq, uint48 size, bytes32 root);
    event RotationProposed(bytes32 indexed logId, address writer, uint64 notBefore);
    event RotationCancelled(bytes32 indexed logId);
    event Rotated(bytes32 indexed logId, address writer);
    event Frozen(bytes32 indexed logId, uint48 seq, uint48 size);

    error NotWriter();
    error NotAdmin();
    error NotOpen();
    error AlreadyOpen();
    error OutOfOrder(uint48 expected);
    error NotLarger(uint48 size);
    error NoWriter();
    error NotYet(uint64 notBefore);

    /// Seconds between the proposal of another writer and its acceptance.
    uint64 public immutable rotationDelay;

    mapping(bytes32 logId => Log) public logs;
    mapping(bytes32 logId => address) public admins;
    mapping(bytes32 logId => Rotation) public rotations;

    constructor(uint64 delay) {
        rotationDelay = delay;
    }

    /// A log's id holds its admin, so nobody can open it in another's name. `name`: SHA-256 of the log's origin.
    function open(bytes32 name, address writer) external returns (bytes32 logId) {
        logId = keccak256(abi.encode(msg.sender, name));
        if (admins[logId] != address(0)) revert AlreadyOpen();
        if (writer == address(0)) revert NoWriter();
        admins[logId] = msg.sender;
        logs[logId].writer = writer;
        emit Opened(logId, name, msg.sender, writer);
    }

    /// `seq` counts from 1 without a gap; `size` only grows.
    function anchor(bytes32 logId, uint48 seq, uint48 size, bytes32 root) external {
        Log memory log = logs[logId];
        if (msg.sender != log.writer) revert NotWriter();
        if (seq != log.seq + 1) revert OutOfOrder(log.seq + 1);
        if (size <= log.size) revert NotLarger(log.size);
        logs[logId] = Log(msg.sender, seq, size);
        emit Anchored(logId, seq, size, root);
    }

    function proposeWriter(bytes32 logId, address writer) external onlyAdmin(logId) {
        if (logs[logId].writer == address(0)) revert NotOpen();
        if (writer == address(0)) revert NoWriter();
        uint64 notBefore = uint64(block.timestamp) + rotationDelay;
        rotations[logId] = Rotation(writer, notBefore);
        emit RotationProposed(logId, writer, notBefore);
    }

    function cancelRotation(bytes32 logId) external onlyAdmin(logId) {
        delete rotations[logId];
        emit RotationCancelled(logId);
    }

    /// By the new writer itself, which so proves that it holds the key.
    function acceptWriter(bytes32 logId) external {
        Rotation memory rotation = rotations[logId];
        if (msg.sender != rotation.writer) revert NotWriter();
        if (block.timestamp < rotation.notBefore) revert NotYet(rotation.notBefore);
        if (logs[logId].writer == address(0)) revert NotOpen();
        logs[logId].writer = msg.sender;
        delete rotations[logId];
        emit Rotated(logId, msg.sender);
    }

    /// For ever: what was anchored stays, nothing is added.
    function freeze(bytes32 logId) external {
        Log memory log = logs[logId];
        if (log.writer == address(0)) revert NotOpen();
        if (msg.sender != log.writer && msg.sender != admins[logId]) revert NotAdmin();
        logs[logId].writer = address(0);
        delete rotations[logId];
        emit Frozen(logId, log.seq, log.size);
    }

    modifier onlyAdmin(bytes32 logId) {
        if (msg.sender != admins[logId]) revert NotAdmin();
        _;
    }
}
