internal import KVMTypes
internal import Stage2Model
internal import Stage2Replay

extension ReplayReport {
  /// The time under a VM's lock, as far as the trace recorded it.
  ///
  /// - Parameter spanNs: the time from the first to the last event.
  func write(_ lock: LockEntry, spanNs: UInt64, _ page: inout TextPage) {
    let rows = Self.rows(lock)
    guard !rows.isEmpty else { return }
    let scale = page.form.isTerminal ? Bars.Scale(rows.lazy.flatMap(\.durations)) : nil
    page.blank()
    page.heading("time under mmu_lock, recorded on that host" + Self.held(lock, spanNs: spanNs))
    page.table(
      header: ["", "mode", "count", "total", "p50", "p99", "p99.9", "longest"]
        + (scale == nil ? [] : ["p50, p99, longest"]),
      alignRight: [false, false, true, true, true, true, true, true] + (scale == nil ? [] : [false]),
      rows: rows.map { row in row.cells + (scale.map { [$0.strip(row.durations, page.form)] } ?? []) },
      spare: (scale == nil ? [] : [SpareColumns([8], called: nil)]) + [6, 4, 5, 2, 1])
    if lock.byOperation.values.contains(where: { $0.modeBasis == .assumed }) {
      page.line("  how faults took the lock is assumed: the trace does not show it")
    }
    page.line("  where that host was emulated, these times say nothing of hardware")
    Self.writeUntold(lock, &page)
    if !lock.longestHolds.isEmpty { Self.write(lock.longestHolds, &page) }
    if !lock.longestWaits.isEmpty { Self.write(lock.longestWaits, &page) }
  }

  /// ": held to write 9.7 % of the trace's 81.10 s, 25.2 % of the VM's 31.20 s".
  private static func held(_ lock: LockEntry, spanNs: UInt64) -> String {
    guard let share = lock.utilisation else { return "" }
    let all = ": held to write \(Quantity.share(share)) of the \(Quantity.duration(spanNs)) replayed"
    guard lock.lifeNs < spanNs, let ofLife = lock.lifeUtilisation else { return all }
    return all + ", \(Quantity.share(ofLife)) of the \(Quantity.duration(lock.lifeNs)) that the VM was there"
  }

  /// What took the lock or waited for it, and how long.
  private struct Row {
    var cells: [String]
    /// The 50th, the 99th and the 99.9th percentile and the longest; empty where they are not known.
    var durations: [UInt64] = []

    init(_ cells: [String]) { self.cells = cells }

    init(_ name: String, _ mode: LockMode, _ count: Int, _ totalNs: UInt64, _ durations: [UInt64]) {
      cells =
        [name, mode.word, Quantity.count(count), Quantity.duration(totalNs)]
        + durations.map(Quantity.duration)
      self.durations = durations
    }
  }

  private static func rows(_ lock: LockEntry) -> [Row] {
    let holds = lock.byOperation.sorted {
      ($1.value.totalNs, $0.key.word) < ($0.value.totalNs, $1.key.word)
    }.map { kind, hold in
      Row(
        "in \(kind.name)", hold.mode, hold.count, hold.totalNs,
        [hold.p50Ns, hold.p99Ns, hold.p999Ns, hold.maxNs])
    }
    let waits = [(LockMode.read, lock.read), (.write, lock.write)].compactMap { mode, entry -> Row? in
      guard let entry, let waits = entry.waits, let total = entry.waitNs else { return nil }
      return Row(
        "waits", mode, waits, total,
        [entry.waitP50Ns, entry.waitP99Ns, entry.waitP999Ns, entry.waitMaxNs].compactMap(\.self))
    }
    return holds + untimedRows(lock) + waits
  }

  /// The functions that probes told of, but not how long they ran.
  private static func untimedRows(_ lock: LockEntry) -> [Row] {
    (lock.untimed ?? [:]).sorted { $0.key.word < $1.key.word }.compactMap { kind, calls in
      calls.count.map {
        Row(["in \(kind.name)", calls.mode.word, Quantity.count($0)] + Array(repeating: "unknown", count: 5))
      }
    }
  }

  /// The functions that no probe told of.
  private static func writeUntold(_ lock: LockEntry, _ page: inout TextPage) {
    if lock.byOperation.isEmpty {
      page.line("  how long it was held is unknown: no probe recorded that")
    } else if let untold = lock.untold {
      page.line("  " + untold)
    }
  }

  private static func write(_ holds: [LongHoldEntry], _ page: inout TextPage) {
    page.blank()
    page.table(
      header: ["longest holds", "held", "mode", "thread", "CPU", "in", "IPA"],
      alignRight: [true, true, false, true, true, false, false],
      rows: holds.map {
        moment($0.timeNs, $0.heldNs, $0.mode, $0.tid, $0.cpu) + [$0.operation.name, hex($0.ipa)]
      }, spare: [4, 2, 3])
  }

  private static func write(_ waits: [LongWaitEntry], _ page: inout TextPage) {
    page.blank()
    page.table(
      header: ["longest waits", "waited", "mode", "thread", "CPU", "for", "IPA", "behind"],
      alignRight: [true, true, false, true, true, false, false, false],
      rows: waits.map {
        moment($0.timeNs, $0.waitedNs, $0.mode, $0.tid, $0.cpu) + [
          $0.operation?.name ?? "unknown", $0.ipa.map(hex) ?? "unknown",
          $0.holder.map { "\($0.operation.name) by \($0.tid)" } ?? "unknown",
        ]
      }, spare: [4, 2, 6, 3])
  }

  /// When, how long, and by whom: the first cells of a hold and of a wait.
  private static func moment(
    _ timeNs: UInt64, _ durationNs: UInt64, _ mode: LockMode, _ tid: Int32, _ cpu: UInt16
  ) -> [String] {
    [
      Quantity.seconds(timeNs), Quantity.duration(durationNs), mode.word, String(tid), String(cpu),
    ]
  }
}
