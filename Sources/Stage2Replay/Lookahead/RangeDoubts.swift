/// Why it is an assumption that frames of a VM were unmapped or aged, or a slot's frames unmapped, just where an event tells of it.
struct RangeDoubts: OptionSet, BitwiseCopyable {
  let rawValue: UInt8

  /// The notification may be about other memory: of another process, or of a VM that it has been to already.
  static let otherMemory = RangeDoubts(rawValue: 1 << 0)
  /// The slot was perhaps elsewhere already.
  static let otherSlot = RangeDoubts(rawValue: 1 << 1)
  /// A guest_memfd is taken to be closed.
  static let closedFile = RangeDoubts(rawValue: 1 << 2)
  /// Events are missing since the VM appeared, and a commit may be among them: its slots may lie elsewhere.
  static let lostCommit = RangeDoubts(rawValue: 1 << 4)
  /// It may have come before what is replayed.
  static let beforePart = RangeDoubts(rawValue: 1 << 3)
  /// It may have waited for `mmu_lock`, and for want of events it is not known until when.
  static let lostWait = RangeDoubts(rawValue: 1 << 5)
}
