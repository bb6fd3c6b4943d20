/// The commands and processes of threads, as lines of text tell them: of each thread the last.
///
/// Invariant: `slots` has `capacity`, a power of two, initialised elements until deinit, and more of them are free than are taken.
struct ThreadTable: ~Copyable {
  /// A thread.
  private struct Slot: BitwiseCopyable {
    var tid: Int32 = 0
    /// 0 where no line tells.
    var process: Int32 = 0
    var isTaken = false
    /// How long the command is, with the spaces before it, in bytes; 0 where no line tells.
    var commandBytes: UInt8 = 0
    var command: (UInt64, UInt64) = (0, 0)

    /// Takes in a command, which nearly always is the one that is there.
    @inline(__always)
    mutating func note(_ text: TextCursor) {
      if text.count == 16, commandBytes == 16 {
        let words = UnsafeRawPointer(text.place).loadUnaligned(as: (UInt64, UInt64).self)
        if words == command { return }
      }
      change(text)
    }

    private mutating func change(_ text: TextCursor) {
      var known = text
      known.skipSpaces()
      guard (1...16).contains(text.count), !known.isAtEnd, ThreadTable.isKnown(known) else { return }
      withUnsafeMutableBytes(of: &command) {
        $0.copyBytes(from: UnsafeRawBufferPointer(start: text.place, count: text.count))
      }
      commandBytes = UInt8(truncatingIfNeeded: text.count)
    }
  }

  /// The most threads that are told apart: no pid is higher on a host with the default `kernel.pid_max` of a small one.
  static let threadsMax = 1 << 16

  private var capacity = 256
  private var slots: UnsafeMutablePointer<Slot>
  private(set) var count = 0

  init() {
    slots = .allocate(capacity: capacity)
    slots.initialize(repeating: Slot(), count: capacity)
  }

  deinit { slots.deallocate() }

  /// Takes in what a line says of its thread.
  @inline(__always)
  mutating func note(_ head: LineHead) {
    var index = Self.hash(head.tid) & (capacity - 1)
    while slots[index].isTaken, slots[index].tid != head.tid { index = (index + 1) & (capacity - 1) }
    if !slots[index].isTaken {
      guard count < Self.threadsMax else { return }
      slots[index].tid = head.tid
      slots[index].isTaken = true
      count += 1
    }
    if head.process != 0 { slots[index].process = head.process }
    slots[index].note(head.command)
    if count * 2 > capacity { grow() }
  }

  /// The commands by thread.
  var commands: [Int32: String] {
    var result: [Int32: String] = [:]
    for index in 0..<capacity where slots[index].commandBytes > 0 {
      let text = withUnsafeBytes(of: slots[index].command) { bytes in
        String(
          decoding: bytes.prefix(Int(slots[index].commandBytes)).drop { $0 == UInt8(ascii: " ") },
          as: UTF8.self)
      }
      result[slots[index].tid] = text
    }
    return result
  }

  /// The processes by thread.
  var processes: [Int32: Int32] {
    var result: [Int32: Int32] = [:]
    for index in 0..<capacity where slots[index].process != 0 {
      result[slots[index].tid] = slots[index].process
    }
    return result
  }

  /// `<...>` of the kernel and `:123` of perf stand for a command that is not known.
  private static func isKnown(_ command: TextCursor) -> Bool {
    if command.byte == UInt8(ascii: ":") {
      var digits = command
      digits.place += 1
      return digits.decimal() == nil || !digits.isAtEnd
    }
    return !(command.count == 5 && command.begins(with: "<...>"))
  }

  private static func hash(_ tid: Int32) -> Int {
    Int(truncatingIfNeeded: (UInt32(bitPattern: tid) &* 0x9e37_79b1) >> 8)
  }

  private mutating func grow() {
    let (old, oldCapacity) = (slots, capacity)
    capacity *= 2
    slots = .allocate(capacity: capacity)
    slots.initialize(repeating: Slot(), count: capacity)
    for index in 0..<oldCapacity where old[index].isTaken {
      var place = Self.hash(old[index].tid) & (capacity - 1)
      while slots[place].isTaken { place = (place + 1) & (capacity - 1) }
      slots[place] = old[index]
    }
    old.deallocate()
  }
}
