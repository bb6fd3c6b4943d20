/// Whether a text has as many entries as the headers of `trace` say: if not, somebody cut it, or took lines out of it.
///
///     # entries-in-buffer/entries-written: 3548/3548   #P:2
///
/// A header counts for what follows, up to the next one. An entry has a line with a head, also a stack or a function; a line that is
/// damaged may be one. The kernel's files of one CPU have the number of all CPUs in their headers.
struct TextEntries {
  /// What a header says.
  private struct Header {
    /// Where it stands, in bytes.
    var offset: Int
    var held: UInt64
    /// Of how many CPUs.
    var cpuCount: Int
  }

  private var header: Header?
  /// How many entries there are behind it, and what lines say was lost while the buffer was read.
  private var count: UInt64 = 0
  /// Whether one of those lines does not say how many.
  private var hasUnknownLoss = false
  private var cpu: UInt16?
  private var isOfOneCPU = true
  /// Where entries are missing: the headers.
  private(set) var damage = DamageLog(cpu: nil)
  /// Whether some may be missing, and no line tells where. Of a text with events of one CPU, or none, it is not known whether some are;
  /// nor of one in which a line tells of a loss without its number, for which others may be missing than those.
  private(set) var lacksSome = false

  /// Takes in a line with a head.
  @inline(__always)
  mutating func note(_ head: LineHead) {
    count &+= 1
    if head.cpu != cpu {
      if cpu != nil { isOfOneCPU = false }
      cpu = head.cpu
    }
  }

  /// Takes in a line without one.
  mutating func note(_ line: LineReader.Line) {
    if line.isCut || line.isTooLong {
      count += 1
      return
    }
    var facts = TextFacts()
    if line.text.byte == UInt8(ascii: "#"), facts.note(line.text), let held = facts.held {
      finish()
      header = Header(offset: line.offset, held: held, cpuCount: facts.cpuCount)
      return
    }
    switch TextNote(line.text) {
    case .lost(_, let lost):
      if lost == 0 { hasUnknownLoss = true }
      count = count.addingReportingOverflow(lost).overflow ? .max : count + lost
    case .unknown: count += 1
    case .begins, .overwritten, .silent: break
    }
  }

  /// What the last header counts for is over.
  mutating func finish() {
    if let header, count < header.held {
      lacksSome = true
      if !hasUnknownLoss, !isOfOneCPU || header.cpuCount == 1 {
        damage.report(
          at: header.offset, "the header tells of \(header.held) entries, the text has \(count) of them")
      }
    }
    (header, count, hasUnknownLoss, cpu, isOfOneCPU) = (nil, 0, false, nil, true)
  }
}
