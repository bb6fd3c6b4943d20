internal import KVMTypes

/// What happens to the dirty bitmap of a slot (`memslot->dirty_bitmap`).
enum DirtyLogChange: BitwiseCopyable {
  /// It is allocated, for the slot that begins at a frame.
  case allocate(GFN)
  /// The slot moves and keeps it.
  case move(from: GFN, to: GFN)
  /// The slot goes, or logs no longer where it moves to, and the bitmap is freed.
  case free(GFN)
  /// The VMM clears the bits of the slot's pages that were written, by KVM_GET_DIRTY_LOG or KVM_CLEAR_DIRTY_LOG. Not proven is
  /// what only later faults can show: it may not have happened.
  case clear(FrameRange, isProven: Bool)
}
