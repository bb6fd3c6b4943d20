/// How far the reading of a recording is, in a line of a terminal.
public struct ProgressLine {
  /// What is read.
  public var path: String
  /// Which pass over it this is, from 1.
  public var pass: Int
  /// The bytes that are read.
  public var bytes: UInt64
  /// Those that there are; 0 where that is not known.
  public var totalBytes: UInt64
  /// The events that were taken in.
  public var events: UInt64
  /// How long the pass takes by now.
  public var elapsedNs: UInt64

  /// How far a pass is.
  public init(
    path: String, pass: Int, bytes: UInt64, totalBytes: UInt64, events: UInt64, elapsedNs: UInt64
  ) {
    (self.path, self.pass, self.bytes, self.totalBytes) = (path, pass, bytes, totalBytes)
    (self.events, self.elapsedNs) = (events, elapsedNs)
  }

  /// The line, in fewer columns than `width`: a terminal goes on to the next line behind its last column. The name gives way first.
  public func text(width: Int) -> String {
    let figures = ": \(passText)\(share), \(rate)\(left)"
    let name = Safe.line(path == "-" ? "standard input" : path)
    let room = width - 1 - figures.count
    guard room < name.count else { return name + figures }
    guard room > 8 else { return String(figures.dropFirst(2).prefix(max(width - 1, 0))) }
    return ".." + name.suffix(room - 2) + figures
  }

  private var passText: String { pass > 1 ? "pass \(pass), " : "" }

  private var share: String {
    guard totalBytes > 0 else { return "\(Quantity.bytes(bytes))" }
    let percent = UInt64(Double(min(bytes, totalBytes)) / Double(totalBytes) * 100)
    return "\(percent) % of \(Quantity.bytes(totalBytes))"
  }

  private var rate: String {
    let perSecond = elapsedNs == 0 ? 0 : Double(events) / Double(elapsedNs) * 1e9
    return perSecond < 1e6
      ? "\(Quantity.count(UInt64(perSecond.rounded()))) events/s"
      : "\(Quantity.fixed(perSecond / 1e6, digits: 1)) M events/s"
  }

  private var left: String {
    guard totalBytes > 0, bytes > 0, bytes <= totalBytes else { return "" }
    let seconds = Double(elapsedNs) / 1e9 * Double(totalBytes - bytes) / Double(bytes)
    if seconds >= 120 { return ", \(UInt64(min(seconds / 60, 1e6).rounded(.up))) min left" }
    return ", \(UInt64(seconds.rounded(.up))) s left"
  }
}
