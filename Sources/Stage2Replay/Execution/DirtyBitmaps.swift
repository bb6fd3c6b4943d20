internal import KVMTypes

/// The dirty bitmaps of a VM's slots that log (`memslot->dirty_bitmap`), as far as its vCPUs write: what the VMM itself writes for
/// the guest KVM marks only where it does so on the VMM's behalf.
struct DirtyBitmaps {
  /// Which words have bits, by the first frame of the slot. A word is of 64 pages, counted from that frame.
  private var bitmaps: [FrameKey: [UInt64: UInt64]] = [:]

  /// A bitmap is allocated, with no bit set.
  mutating func allocate(_ base: GFN) { bitmaps[FrameKey(base.rawValue)] = [:] }

  /// `kvm_destroy_dirty_bitmap`.
  mutating func free(_ base: GFN) { bitmaps[FrameKey(base.rawValue)] = nil }

  /// A slot moves, and its bitmap with it.
  mutating func move(from old: GFN, to base: GFN) {
    bitmaps[FrameKey(base.rawValue)] = bitmaps.removeValue(forKey: FrameKey(old.rawValue))
  }

  /// `mark_page_dirty_in_slot`.
  mutating func mark(_ gfn: GFN, of slot: Memslot) {
    let page = gfn - slot.base
    bitmaps[FrameKey(slot.base.rawValue), default: [:]][page / 64, default: 0] |= 1 << (page % 64)
  }

  /// All bits of a slot are cleared.
  ///
  /// - Returns: the first page that has a word of its bitmap with bits set, counted from the slot's first, and all words from there
  ///   to the last such one; nil where there is none.
  mutating func clear(_ base: GFN) -> (first: UInt64, masks: [UInt64])? {
    let key = FrameKey(base.rawValue)
    guard let words = bitmaps[key], let first = words.keys.min(), let last = words.keys.max() else {
      return nil
    }
    bitmaps[key] = [:]
    return (first * 64, (first...last).map { words[$0] ?? 0 })
  }
}
