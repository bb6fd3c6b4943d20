internal import KVMTypes
internal import Stage2Replay

/// What may be asked next, with the commands that answer it.
struct NextCommands {
  /// Why.
  var reason: String
  var commands: [String]

  /// A line that says why, and a line for each command, which is never broken.
  func text(in form: PageForm) -> String {
    guard form.isTerminal else { return "" }
    var page = TextPage(form)
    page.blank()
    page.line(PageText("next: ", .heading) + reason)
    for command in commands { page.drawing(PageText("  pkvm-replay " + command)) }
    return page.rendered
  }

  /// A path as a shell takes it; what cannot be typed there, and standard input, is FILE.
  static func quoted(_ path: String) -> String {
    guard path != "-", !path.isEmpty, Safe.line(path) == path else { return "FILE" }
    let isPlain = path.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
      case UInt8(ascii: "0")...UInt8(ascii: "9"): true
      default: "/._-+=:,@%".utf8.contains(byte)
      }
    }
    let quoted = isPlain ? path : "'" + path.replacing("'", with: "'\\''") + "'"
    return path.hasPrefix("-") ? "./" + quoted : quoted
  }
}

extension ReplayReport {
  /// How to go on from the reports, on a terminal: by what is wrong first.
  static func nextCommands(_ reports: [ReplayReport], in form: PageForm) -> String {
    let next =
      reports.lazy.compactMap(\.afterDivergences).first ?? reports.lazy.compactMap(\.afterLosses).first
      ?? reports.lazy.compactMap(\.afterMissing).first ?? reports.lazy.compactMap(\.ifAllIsWell).first
    return next?.text(in: form) ?? ""
  }

  private var file: String { NextCommands.quoted(inputs.first?.path ?? "-") }

  private var afterDivergences: NextCommands? {
    guard let item = divergences.items.first(where: { $0.verdict == .unexplained }) else { return nil }
    // What led to it is on the page; what surrounds it is a millisecond to either side.
    let around: UInt64 = 1_000_000
    let from = item.timeNs > around ? item.timeNs - around : 0
    let to = item.timeNs.addingSaturated(around)
    return NextCommands(
      reason: "what \(item.rule.id) demands, and what happened around the first event that breaks it",
      commands: [
        "rules \(item.rule.id)", "events --from \(unit.moment(from)) --to \(unit.moment(to)) \(file)",
      ])
  }

  private var afterLosses: NextCommands? {
    guard inputs.contains(where: \.isIncomplete) else { return nil }
    return NextCommands(
      reason: "where it is damaged or lost events; --allow-loss takes it as it is, with exit status 0",
      commands: ["info \(file)", "replay --allow-loss \(file)"])
  }

  private var afterMissing: NextCommands? {
    guard let missing = notRecorded?.first(where: \.essential), let event = missing.events.first else {
      return nil
    }
    return NextCommands(
      reason: "a recording with \(event) says more; the page Recording has the lines that record it",
      commands: [])
  }

  private var ifAllIsWell: NextCommands? {
    guard !vms.isEmpty else { return nil }
    return NextCommands(
      reason: "the same workload under another kernel, and what many such VMs cost",
      commands: [
        "compare --profile auto --profile 6.14 \(file)", "capacity --vms 100 --memory 4GiB \(file)",
      ])
  }
}

extension TraceInfo {
  /// How to go on, on a terminal.
  func nextCommands(in form: PageForm) -> String {
    guard events > 0 else { return "" }
    let file = NextCommands.quoted(path)
    return NextCommands(
      reason: "what the host's stage 2 did, and the events one by one",
      commands: ["replay \(file)", "events \(file)"]
    ).text(in: form)
  }
}
