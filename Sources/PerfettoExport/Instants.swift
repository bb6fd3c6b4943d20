internal import KVMTrace
internal import KVMTypes
internal import Stage2Model
internal import Stage2Replay

// What has a moment, and no duration that is known.

extension TrackTree {
  /// An operation that is no fault's, or of a fault that nobody saw.
  ///
  /// - Parameters:
  ///   - flows: those that begin here.
  ///   - pagesTaken: how many pages it took away that operations had mapped; nil for what takes none.
  func add(_ operation: Stage2Operation, flows: [UInt64] = [], pagesTaken: Int? = nil) throws {
    let track = track(ofThread: try thread(operation.tid, ofVM: operation.vm))
    try writer.event(.instant, at: operation.time, on: track) { event in
      event.varint(EventField.categoryIIDs, Category.operation.rawValue)
      event.varint(EventField.nameIID, OperationWord.name(operation))
      event.argument(.ipa, operation.address)
      if operation.size > 0 { event.argument(.size, operation.size) }
      if let result = operation.result { event.argument(.result, signed: Int64(result)) }
      event.argument(.basis, Word(operation.basis))
      event.argument(.cpu, UInt64(operation.cpu.rawValue))
      if let pagesTaken { event.argument(.pagesTaken, UInt64(pagesTaken)) }
      for flow in flows { event.fixed64(EventField.flowIDs, flow) }
    }
  }

  /// An event that breaks a rule.
  func add(_ divergence: ObservedDivergence) throws {
    let place = divergence.place
    let track = track(ofThread: try thread(place.tid, ofVM: divergence.vm))
    try writer.event(.instant, at: place.time, on: track) { event in
      event.varint(EventField.categoryIIDs, Category.divergence.rawValue)
      event.varint(EventField.nameIID, DivergenceWord.name(divergence.rule, divergence.verdict))
      event.argument(.rule, word: DivergenceWord.statement(divergence.rule))
      event.argument(.verdict, Word(divergence.verdict))
      if let exception = divergence.exception {
        event.argument(.exception, word: DivergenceWord.exception(exception))
      }
      if let ipa = place.ipa { event.argument(.ipa, ipa) }
      event.argument(.cpu, UInt64(place.cpu.rawValue))
    }
  }

  /// What the host counted at quiet points.
  func add(_ markers: [MarkerResult]) throws {
    guard !markers.isEmpty else { return }
    let track = identity.uuid(.markers)
    try describe(child: track, of: trackOfReplay(), name: "markers")
    for marker in markers {
      try writer.event(.instant, at: marker.time, on: track) { event in
        event.varint(EventField.categoryIIDs, Category.marker.rawValue)
        event.text(EventField.name, marker.point)
        for figure in marker.figures {
          let name = figure.kind.name + (figure.process.map { ".\($0.rawValue)" } ?? "")
          event.argument(named: "\(name).recorded", number: Int64(figure.recorded))
          if let modelled = figure.modelled {
            event.argument(named: "\(name).modelled", number: Int64(modelled))
          } else {
            event.argument(named: "\(name).modelled", text: "unknown")
          }
          event.argument(named: "\(name).verdict", text: figure.verdict.name)
        }
      }
    }
  }

  /// Where events are missing.
  ///
  /// - Parameter first: the first moment of what was replayed, for a CPU of which there is no event.
  func add(_ losses: [Loss], from first: Nanoseconds) throws {
    guard !losses.isEmpty else { return }
    let track = identity.uuid(.losses)
    try describe(child: track, of: trackOfReplay(), name: "events lost")
    for loss in losses {
      try writer.event(.instant, at: loss.place == .anywhere ? first : loss.before, on: track) { event in
        event.varint(EventField.categoryIIDs, Category.loss.rawValue)
        event.varint(EventField.nameIID, EventName.eventsLost.rawValue)
        if let count = loss.count {
          event.argument(.events, count)
        } else {
          event.argument(.events, .unknown)
        }
        event.argument(.place, Word(loss.place))
        event.argument(.cpu, UInt64(loss.cpu))
      }
    }
  }

  /// What somebody has to know of all of the tracks.
  func add(_ statements: [(key: String, value: String)], at time: Nanoseconds, pkvm: Bool) throws {
    let track = try trackOfReplay(labels: [pkvm ? "pKVM" : "traditional"])
    try writer.event(.instant, at: time, on: track) { event in
      event.varint(EventField.categoryIIDs, Category.marker.rawValue)
      event.text(EventField.name, "recording")
      for (key, value) in statements { event.argument(named: key, text: value) }
    }
  }
}

// What has a duration and is no fault.

extension TrackTree {
  /// A hold of a VM's lock.
  func add(_ hold: RecordedHold, ofVM vm: Int) throws {
    try slice(
      .held, of: thread(hold.tid, ofVM: vm), from: hold.time, to: hold.time + hold.duration
    ) { event in
      event.varint(EventField.categoryIIDs, Category.lock.rawValue)
      event.varint(EventField.nameIID, OperationWord.name(hold.operation.kind))
      event.argument(.mode, Word(hold.mode))
      event.argument(.ipa, hold.operation.address)
      if hold.operation.size > 0 { event.argument(.size, hold.operation.size) }
      event.argument(.cpu, UInt64(hold.cpu.rawValue))
    } atEnd: { _ in
    }
  }

  /// A wait for a VM's lock.
  func add(_ wait: RecordedWait, ofVM vm: Int) throws {
    try slice(
      .waited, of: thread(wait.tid, ofVM: vm), from: wait.time, to: wait.time + wait.duration
    ) { event in
      event.varint(EventField.categoryIIDs, Category.lock.rawValue)
      event.varint(EventField.nameIID, (wait.mode == .write ? EventName.waitToWrite : .waitToRead).rawValue)
      if let operation = wait.operation {
        event.argument(.operation, word: OperationWord.name(operation.kind))
      }
      if let address = wait.faultAddress { event.argument(.faultIPA, address) }
      if let holder = wait.holder {
        event.argument(.holder, text: "\(holder.operation.kind.name) of thread \(holder.tid.rawValue)")
      }
      event.argument(.cpu, UInt64(wait.cpu.rawValue))
    } atEnd: { _ in
    }
  }
}
