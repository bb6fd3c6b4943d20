internal import KVMTypes

/// Which frames each thread faulted on, as memory or as a device, block by block.
///
/// At most 65,536 blocks are told apart, which takes 5 MiB; of blocks that come later nothing is known.
struct FaultedMemory {
  struct Block {
    /// From the lowest to the highest frame that is memory.
    var memory: FrameRange?
    /// From the lowest to the highest frame whose access became MMIO.
    var devices: FrameRange?
  }

  private static let blocksMax = 1 << 16
  /// By thread and number of the block of `pmdBytes`.
  private var blocks: [FrameKey: Block] = [:]

  private static let blockBits: UInt64 = 40
  private static func key(_ tid: ThreadID, _ block: UInt64) -> FrameKey {
    FrameKey(UInt64(UInt32(bitPattern: tid.rawValue)) << blockBits | block)
  }
  private static func tid(_ key: FrameKey) -> ThreadID {
    ThreadID(Int32(truncatingIfNeeded: key.value >> blockBits))
  }

  /// The threads that faulted.
  var tids: Set<ThreadID> { Set(blocks.keys.lazy.map { Self.tid($0) }) }

  mutating func add(_ tid: ThreadID, _ frames: FrameRange, isMemory: Bool, pagesPerBlock: UInt64) {
    let key = Self.key(tid, frames.start.rawValue / pagesPerBlock)
    guard blocks.count < Self.blocksMax || blocks[key] != nil else { return }
    if isMemory {
      blocks[key, default: Block()].memory.include(frames)
    } else {
      blocks[key, default: Block()].devices.include(frames)
    }
  }

  /// The memory that threads faulted on, as ranges of frames with no untouched block and no device inside.
  ///
  /// - Parameter counts: which threads count.
  func ranges(where counts: (ThreadID) -> Bool) -> [FrameRange] {
    var merged: [UInt64: Block] = [:]
    for (key, block) in blocks where counts(Self.tid(key)) {
      let number = key.value & (1 << Self.blockBits - 1)
      if let memory = block.memory { merged[number, default: Block()].memory.include(memory) }
      if let devices = block.devices { merged[number, default: Block()].devices.include(devices) }
    }
    var ranges: [FrameRange] = []
    var last: UInt64?
    for (number, block) in merged.sorted(by: { $0.key < $1.key }) {
      defer { last = block.memory == nil || block.hasDeviceAbove ? nil : number }
      guard let memory = block.memory else { continue }
      if let last, last + 1 == number, !block.hasDeviceBelow {
        ranges[ranges.count - 1].end = memory.end
      } else {
        ranges.append(memory)
      }
    }
    return ranges
  }
}

extension FaultedMemory.Block {
  fileprivate var hasDeviceBelow: Bool {
    guard let memory, let devices else { return false }
    return devices.start < memory.start
  }

  fileprivate var hasDeviceAbove: Bool {
    guard let memory, let devices else { return false }
    return devices.end > memory.end
  }
}

extension FrameRange? {
  /// Extends the range so that it holds `frames`.
  mutating func include(_ frames: FrameRange) {
    guard let range = self else {
      self = frames
      return
    }
    self = FrameRange(start: min(range.start, frames.start), end: max(range.end, frames.end))
  }
}
