/// Whether the fields of an event lie as a compiler puts them, one behind the other with no more room between than the next one's
/// alignment takes, or none, as the kernel packs probes and the events of EL2. A digit of a place or a size that is damaged shows so:
/// what is read there would be something else.
struct FieldLayout {
  /// What does not fit, where a long has four bytes, and where it has eight: where in the text its line begins.
  private var misfits: (four: Int?, eight: Int?)
  /// How many fields of a long's size have four bytes, and how many have eight.
  private(set) var longs = (four: 0, eight: 0)
  /// Where the first field of the event's own stands, and its line; it is to lie behind those that all events have.
  private(set) var first: (offset: Int, line: Int)?
  /// Where the field before ends that is the event's own.
  private var end: Int?
  private var isOwn = false
  private let rules: Rules

  /// What holds for the events of a system.
  private enum Rules {
    case all
    /// What follows the fields may be one whose size stands nowhere (ftrace's own).
    case open
    /// Values stand in slots (synthetic events): nothing holds but that they do not overlap.
    case slots
    /// Each argument has a long, whatever its type says (syscalls).
    case none

    init(system: String) {
      self =
        switch system {
        case "syscalls": .none
        case "synthetic": .slots
        case "ftrace": .open
        default: .all
        }
    }
  }

  init(system: String) { rules = Rules(system: system) }

  /// Where in the text the first line begins that does not fit; nil where all do.
  func misfit(long: Int) -> Int? { long == 4 ? misfits.four : misfits.eight }

  /// Where the first field of its own can stand if those that all events have end at `commonEnd`.
  func misfit(behind commonEnd: Int) -> Int? {
    guard let first, commonEnd > 0 else { return nil }
    // The head of a record is a structure, which may be longer than its fields.
    let fits = [1, 2, 4, 8].contains { first.offset == Self.aligned(commonEnd, to: $0) }
    return fits ? nil : first.line
  }

  /// Takes in the next field, whose line begins at `line` of the text.
  mutating func take(
    _ declaration: UnsafeRawBufferPointer, offset: Int, size: Int, isSigned: Bool?, line: Int
  ) {
    guard rules != .none else { return }
    let type = FieldType(declaration)
    if type.isLong, type.bytes(long: 4) == size { longs.four += 1 }
    if type.isLong, type.bytes(long: 8) == size { longs.eight += 1 }
    if misfits.four == nil, !fits(type, offset, size, isSigned, long: 4) { misfits.four = line }
    if misfits.eight == nil, !fits(type, offset, size, isSigned, long: 8) { misfits.eight = line }
    guard isOwn else { return }
    if first == nil { first = (offset, line) }
    end = isBehindArray(type, offset, size) ? offset : offset + size
  }

  /// What follows is the event's own.
  mutating func endPart() { isOwn = true }

  private func fits(_ type: FieldType, _ offset: Int, _ size: Int, _ isSigned: Bool?, long: Int) -> Bool {
    if isBehindArray(type, offset, size) { return true }
    guard type.allows(size, long: long) || rules == .open && size == 0 else { return false }
    if rules != .slots, let isSigned, let own = type.isSigned, own != isSigned { return false }
    // Those that all events have are held against those of others.
    guard isOwn, let end else { return true }
    guard rules != .slots else { return offset >= end }
    if offset == end { return true }
    let alignments = type.alignment(long: long).map { [$0] } ?? [2, 4, 8].filter { size % $0 == 0 }
    return alignments.contains { offset == Self.aligned(end, to: $0) }
  }

  /// Whether an array is declared as if it were one field, as f2fs does with `__field(nid_t, nid[3])`: it has then the size of an element
  /// and the place of the one behind the last, where the next field lies, too.
  private func isBehindArray(_ type: FieldType, _ offset: Int, _ size: Int) -> Bool {
    guard case .array(let element, let count?) = type, let end, count > 1,
      element.bytes(long: size).map({ $0 == size }) ?? true
    else { return false }
    return [1, 2, 4, 8].contains { offset == Self.aligned(end, to: $0) + count * size }
  }

  private static func aligned(_ offset: Int, to alignment: Int) -> Int {
    (offset + alignment - 1) / alignment * alignment
  }
}
