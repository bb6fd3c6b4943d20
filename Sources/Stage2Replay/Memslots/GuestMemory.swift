internal import KVMTrace
internal import KVMTypes

/// What of a VM's slots is the guest's RAM, which grows with the VM, and what is not: firmware, flash and the memory of
/// devices are as large in a large VM as in a small one.
public struct GuestMemory: Hashable, Sendable {
  /// Pages of RAM that the VM had at most at one moment.
  public private(set) var ramPages: UInt64
  /// Pages of all other slots, likewise.
  public private(set) var fixedPages: UInt64

  /// The stretches of guest memory without a gap that all slots together cover: each has tables of its own at its ends.
  public private(set) var pieces: Int

  /// How many times smaller than the VM's largest slot one must be for passing as a device's.
  static let smallRatio: UInt64 = 64

  /// Whether a slot is no RAM: the guest cannot write to it, or it is less than a 64th of the VM's largest slot that it
  /// can write to.
  static func isFixed(_ slot: Memslot, besides largest: UInt64) -> Bool {
    slot.flags.contains(.readOnly) || slot.pages < largest / smallRatio
  }

  /// The memory of a VM that had `slots`, in the course of time: a slot that changes its flags or moves is among them
  /// more than once.
  public init(_ slots: [Memslot]) {
    let largest = slots.filter { !$0.flags.contains(.readOnly) }.map(\.pages).max() ?? 0
    let isRAM = slots.map { !Self.isFixed($0, besides: largest) }
    ramPages = Self.most(zip(slots, isRAM).filter { $1 }.map(\.0))
    fixedPages = Self.most(zip(slots, isRAM).filter { !$1 }.map(\.0))
    pieces = Self.cover(slots).pieces
  }

  /// At most so many pages were there at once: of slots with one number one at a time, and no frame twice.
  private static func most(_ slots: [Memslot]) -> UInt64 {
    var byNumber: [Int16: UInt64] = [:]
    var nameless: UInt64 = 0
    for slot in slots {
      if let id = slot.id {
        byNumber[id] = max(byNumber[id] ?? 0, slot.pages)
      } else {
        nameless += slot.pages
      }
    }
    return min(byNumber.values.reduce(nameless, +), cover(slots).pages)
  }

  /// The frames that slots cover.
  private static func cover(_ slots: [Memslot]) -> (pages: UInt64, pieces: Int) {
    var pages: UInt64 = 0
    var pieces = 0
    var end: GFN?
    for slot in slots.sorted(by: { $0.base < $1.base }) where end.map({ slot.end > $0 }) ?? true {
      let start = max(slot.base, end ?? slot.base)
      if start != end { pieces += 1 }
      pages += slot.end - start
      end = slot.end
    }
    return (pages, pieces)
  }
}
