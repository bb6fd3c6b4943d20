internal import KVMTrace
internal import KVMTypes

/// What a copy has to say of the damage in its recording: it has the events that can be read, and no damage.
///
/// Where events are missing for it, a page of the copy says so as it does where the kernel lost some; and how much of the recording is in
/// doubt for it, the copy says where it says of what it is one.
struct CopiedDamage {
  /// How many damaged places each stream's events had so far at which something is missing.
  private var lackCounts: [Int: Int] = [:]
  private var doubt = DamageDoubt()
  /// How many losses the copy has, and how many of them are of damage.
  private var (lossCount, gapCount) = (0, 0)

  /// Takes in a run, of whichever part of the recording: the loss that stands before it where its stream was damaged since the run
  /// before; nil where nothing is missing.
  mutating func loss(before run: EventRun) -> TraceRecord? {
    let isBehindLack = run.lackCount > 0 && run.lackCount > lackCounts[run.stream] ?? 0
    doubt.note(run, isBehindLack: isBehindLack)
    guard isBehindLack else { return nil }
    lackCounts[run.stream] = run.lackCount
    var loss = TraceRecord(.lost, at: run[0].time, cpu: run[0].cpu, tid: ThreadID(0))
    loss.lane = run[0].lane
    loss[RecordLayout.Lost.isDamage] = 1
    return loss
  }

  /// A page of the copy tells of a loss.
  mutating func noteLoss(isDamage: Bool) {
    lossCount += 1
    if isDamage { gapCount += 1 }
  }

  /// The recording was read to its end, and all pages are written.
  ///
  /// - Parameter moment: the end of the part that is copied.
  /// - Returns: what the copy says of its recording; nil for nothing.
  mutating func origin(
    of trace: TraceFile, _ statistics: EventStatistics, before moment: Nanoseconds?
  ) -> CopyOrigin? {
    doubt.finish(trace.damage, statistics, cpuCount: trace.cpuCount)
    let earlier = trace.copyOrigin?.damaged
    let from = [doubt.begin, trace.account.uncertainFrom].compactMap(\.self).min()
      .flatMap { begin in moment.map { begin < $0 } ?? true ? begin : nil }
    // Which of its losses stand for damage, a copy does not say.
    let gaps = min(lossCount, gapCount + (earlier?.gaps ?? 0))
    let places = trace.damage.count + statistics.damage.count + (earlier?.places ?? 0)
    // Of a part that ends earlier it is not known whether the place is in it, if nothing is missing for that.
    guard from != nil || gaps > 0 || places > 0 && moment == nil else { return trace.origin(damaged: nil) }
    let placesTold = gaps > 0 ? max(1, places) : places
    return trace.origin(damaged: .init(places: placesTold, gaps: gaps, uncertainFrom: from))
  }
}
