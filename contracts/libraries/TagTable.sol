// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Short texts that come again and again, each stored once: a record keeps 40 bits of a tag instead of its own slots.
/// Id 0 is the empty tag.
struct TagTable {
    uint40 count;
    mapping(bytes32 tagHash => uint40 id) idOf;
    mapping(uint40 id => string tag) tagOf;
}

/// @notice What a filter on a tag lets through.
struct TagFilter {
    bool isAny;
    /// False: no record has the tag.
    bool isKnown;
    uint40 id;
}

library TagTables {
    /// @notice Id of a tag, a new one if it was never used.
    function intern(TagTable storage table, string memory tag) internal returns (uint40 id) {
        if (bytes(tag).length == 0) return 0;
        bytes32 tagHash = keccak256(bytes(tag));
        id = table.idOf[tagHash];
        if (id != 0) return id;
        id = ++table.count;
        table.idOf[tagHash] = id;
        table.tagOf[id] = tag;
    }

    function read(TagTable storage table, uint40 id) internal view returns (string memory) {
        return table.tagOf[id];
    }

    /// @notice The filter of a tag; the empty one lets everything through.
    function filter(TagTable storage table, string calldata tag) internal view returns (TagFilter memory) {
        if (bytes(tag).length == 0) return TagFilter({isAny: true, isKnown: true, id: 0});
        uint40 id = table.idOf[keccak256(bytes(tag))];
        return TagFilter({isAny: false, isKnown: id != 0, id: id});
    }

    function lets(TagFilter memory given, uint40 id) internal pure returns (bool) {
        return given.isAny || (given.isKnown && given.id == id);
    }
}
