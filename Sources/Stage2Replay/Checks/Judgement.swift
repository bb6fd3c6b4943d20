/// A broken rule, and what accounts for it.
struct Judgement: Hashable {
  var rule: DivergenceRule
  var verdict: DivergenceVerdict
  var exception: DivergenceException?

  static func unexplained(_ rule: DivergenceRule) -> Judgement {
    Judgement(rule: rule, verdict: .unexplained, exception: nil)
  }

  static func explained(_ rule: DivergenceRule, _ exception: DivergenceException) -> Judgement {
    Judgement(rule: rule, verdict: .explained, exception: exception)
  }

  /// A rule is broken, whatever the table holds, and nothing accounts for it.
  ///
  /// - Parameter lacksSlot: whether the guest uses memory of a slot whose commit was lost: what it does there, and how it races with the
  ///   rest, is not replayed, and may account for anything.
  static func contradiction(of rule: DivergenceRule, besideLostSlot lacksSlot: Bool) -> Judgement {
    lacksSlot ? .unknown(rule, .lostEvents) : .unexplained(rule)
  }

  static func unknown(_ rule: DivergenceRule, _ exception: DivergenceException? = nil) -> Judgement {
    Judgement(rule: rule, verdict: .unknown, exception: exception)
  }
}

/// How well the table is known where a rule looks at it.
enum StateKnowledge: Hashable {
  /// From events, without gaps.
  case known
  /// A decision that the trace allows but does not force.
  case assumed
  /// Not at all, for this reason.
  case unknown(DivergenceException)
}

/// What may have changed a part of the table between a vCPU's entry and the end of its fault's window.
struct WindowEvidence: Hashable {
  /// The leaf that is there, or may be, appeared in the window.
  var isLeafRecent = false
  /// The vCPU's fault before this one was the same, and came to nothing for a reason that is known: it has not got
  /// anywhere since, so what accounted for that one accounts for this.
  var isRetry = false
  /// The table that a fault says is missing appeared in the window.
  var isTableRecent = false
  var unmapOfRegion = UnmapOverlap.none
  var unmapOfVM = UnmapOverlap.none
  /// Pages took the place of a block in the window, or the other way round, or another vCPU may be about to.
  var isResized = false
  var peers: FaultPeers = []
  /// A slot that changed accounts for it: it came into force after the fault, or its memory is guest_memfd's.
  var isUntraced = false
  var knowledge = StateKnowledge.known
  /// The guest uses memory of a slot whose commit was lost.
  var lacksSlot = false

  /// What accounts for any difference in a region whose memory was unmapped or remapped meanwhile.
  var change: DivergenceException? {
    unmapOfRegion.exception ?? (isResized ? .breakBeforeMake : nil)
  }

  /// The judgement where nothing is known of the table, which no event can contradict then; nil where it is known.
  func judgeUnknown(_ rule: DivergenceRule) -> Judgement? {
    if case .unknown(let reason) = knowledge { return .unknown(rule, reason) }
    return nil
  }

  /// The judgement of what no table can account for.
  func contradiction(of rule: DivergenceRule) -> Judgement {
    .contradiction(of: rule, besideLostSlot: lacksSlot)
  }

  /// The judgement of a difference that nothing in the window accounts for.
  func judge(_ rule: DivergenceRule) -> Judgement {
    switch knowledge {
    case .known: isUntraced ? .explained(rule, .untracedChange) : contradiction(of: rule)
    case .assumed: .unknown(rule)
    case .unknown(let reason): .unknown(rule, reason)
    }
  }
}
