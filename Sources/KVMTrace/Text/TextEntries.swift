internal import KVMTypes

/// Whether a text has as many entries as the headers of `trace` say: if not, somebody cut it, or took lines out of it.
///
///     # entries-in-buffer/entries-written: 3548/3548   #P:2
///
/// A header counts for what follows, up to the next one. An entry has a line with a head, also a stack or a function; a line that is
/// damaged may be one, or several whose ends are lost. The kernel's files of one CPU have the number of all CPUs in their headers.
struct TextEntries {
  /// What a header says.
  private struct Header {
    /// Where it stands, in bytes.
    var offset: Int
    var held: UInt64
    /// Of how many CPUs.
    var cpuCount: Int
  }

  /// A header that tells of more entries than there are.
  private struct Lack {
    /// Where it stands, and where what it counts for ends, in bytes.
    var range: Range<Int>
    var held: UInt64
    var count: UInt64
    /// Whether those are entries that nobody took out, or that no other file has.
    var isCertain: Bool
  }

  /// So many of them are kept. Of more it is not asked where their entries are.
  private static let lacksMax = 256

  private var header: Header?
  /// How many entries there are behind it, and what lines say was lost while the buffer was read.
  private var count: UInt64 = 0
  /// Whether one of those lines does not say how many.
  private var hasUnknownLoss = false
  private var cpu: UInt16?
  private var isOfOneCPU = true
  private var lacks: [Lack] = []
  private var lacksMore = false

  /// Whether some may be missing, and no line tells where. Of a text with events of one CPU, or none, it is not known whether some are;
  /// nor of one in which a line tells of a loss without its number, for which others may be missing than those.
  var lacksSome: Bool { lacksMore || !lacks.isEmpty }

  /// Where entries are missing: the headers.
  var damage: DamageLog {
    var log = DamageLog(cpu: nil)
    for lack in lacks where lack.isCertain {
      log.report(
        at: lack.range.lowerBound,
        "the header tells of \(lack.held) entries, the text has \(lack.count) of them")
    }
    return log
  }

  /// Takes in a line with a head.
  @inline(__always)
  mutating func note(_ head: LineHead) {
    count = count.addingSaturated(1)
    if head.cpu != cpu {
      if cpu != nil { isOfOneCPU = false }
      cpu = head.cpu
    }
  }

  /// Takes in a line without one.
  mutating func note(_ line: LineReader.Line) {
    if line.isCut || line.isTooLong {
      count = count.addingSaturated(1)
      return
    }
    var facts = TextFacts()
    if line.text.byte == UInt8(ascii: "#"), facts.note(line.text), let held = facts.held {
      finish(at: line.offset)
      header = Header(offset: line.offset, held: held, cpuCount: facts.cpuCount)
      return
    }
    switch TextNote(line.text) {
    case .lost(_, let lost):
      if lost == 0 { hasUnknownLoss = true }
      count = count.addingSaturated(lost)
    case .unknown: count = count.addingSaturated(1)
    case .begins, .overwritten, .silent: break
    }
  }

  /// What the last header counts for ends at `offset`: with the text, or where the next header stands.
  mutating func finish(at offset: Int = .max) {
    if let header, count < header.held {
      let isCertain = !hasUnknownLoss && (!isOfOneCPU || header.cpuCount == 1)
      if lacks.count < Self.lacksMax {
        lacks.append(
          Lack(range: header.offset..<offset, held: header.held, count: count, isCertain: isCertain))
      } else {
        lacksMore = true
      }
    }
    (header, count, hasUnknownLoss, cpu, isOfOneCPU) = (nil, 0, false, nil, true)
  }

  /// Takes in the lines that are inside others, each of which is told as a damaged place. Where those are all that were missing, none is.
  ///
  /// - Parameter lines: where the others begin, in bytes, and how many are inside each.
  mutating func find(_ lines: [TextRecords.LinesInside]) {
    for index in lacks.indices {
      for line in lines where lacks[index].range.contains(line.offset) {
        lacks[index].count = lacks[index].count.addingSaturated(UInt64(line.count))
      }
    }
    lacks.removeAll { $0.count >= $0.held }
  }
}
