internal import KVMTrace
internal import KVMTypes

extension TraceInfo {
  /// The information as a page of text for a file or a pipe.
  public var text: String { text(in: .filed) }

  /// The information as a page of text.
  public func text(in form: PageForm) -> String {
    var page = TextPage(form)
    page.title(path)
    writeHost(&page)
    writeTime(&page)
    writeContents(&page)
    writeEvents(&page)
    writePlaces(&page)
    return page.rendered + nextCommands(in: form)
  }

  /// The file, and the host that it is of.
  private func writeHost(_ page: inout TextPage) {
    page.row(
      "format",
      [
        format, compression.map { $0 == "none" ? "uncompressed" : $0 }, byteOrder.map { "\($0)-endian" },
        subBufferSize.map { "sub-buffers of \(Quantity.bytes(UInt64($0)))" },
      ]
      .compactMap { $0 }.joined(separator: ", "))
    page.row(
      "host",
      [
        kernel.map { "Linux \($0)" }, machine, Quantity.count(cpus, "CPU"),
        pagesText, clock.map { "clock \($0)" },
        stampNs.map { "stamps of \(Quantity.unit($0))" },
      ]
      .compactMap { $0 }.joined(separator: ", "))
    if let buffers, buffers.count > 1 {
      page.row("buffers", buffers.map { $0.isEmpty ? "top" : $0 }.joined(separator: ", "))
    }
  }

  /// When it was, and which part of a recording that is.
  private func writeTime(_ page: inout TextPage) {
    if firstNs != nil {
      let (first, last) = (replayed.lowerBound, replayed.upperBound)
      page.row(
        "time",
        "\(unit.stamp(first)) to \(unit.stamp(last)) (\(unit.duration(last - first)))"
          + (clockUnit != nil ? clock.flatMap { TraceClock($0) }.map { "; a tick is \($0.tick)" } ?? "" : ""))
    }
    if let window {
      page.row(
        "part",
        "cut out of a recording \(window.text)"
          + (window.events.map { ": \(Quantity.count($0, "event")), the others are carried along" } ?? ""))
    }
    if let leftOutBy {
      page.row(
        window == nil ? "part" : "",
        "of a recording, with the events of a chosen \(leftOutBy.joined(separator: " and ")) alone")
    }
  }

  /// What is in it, and what it says of itself.
  private func writeContents(_ page: inout TextPage) {
    page.row("events", "\(Quantity.count(events)) of \(Quantity.count(eventCounts.count, "kind"))")
    page.row("lost", lossText, lossCount > 0 ? .bad : lossesUnknown == true ? .doubt : nil)
    if let guests { page.row("guests", Self.text(guests)) }
    if let entries = guests?.nestedEntries {
      page.row(
        "nested",
        "guests of a guest, entered \(entries == 1 ? "once" : "\(Quantity.count(entries)) times"): replay counts their faults and leaves "
          + "their shadow tables out")
    }
    if let recordingText { page.row("recording", recordingText) }
    if let memoryPoints {
      page.row(
        "markers",
        "the host's memory at \(Quantity.count(memoryPoints.count, "point")): "
          + memoryPoints.prefix(6).joined(separator: ", ") + (memoryPoints.count > 6 ? ", ..." : ""))
    }
    if !damage.isEmpty {
      page.row("damage", "\(Quantity.count(damage.count, "place")), listed below", .bad)
    }
  }

  /// How often each event occurred.
  private func writeEvents(_ page: inout TextPage) {
    if !eventCounts.isEmpty {
      page.blank()
      page.table(
        header: ["event", "count"], alignRight: [false, true],
        rows: eventCounts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
          .map { [$0.key, Quantity.count($0.value)] })
    }
    if eventsWithoutFormat > 0 {
      page.line(
        "\(Quantity.count(eventsWithoutFormat, "event")) with a number that no format describes")
    }
    if let unreadableFormats {
      page.line(
        "the formats of \(unreadableFormats.joined(separator: ", ")) cannot be read: their events are only counted"
      )
    }
  }

  /// Where something is missing, and what is damaged.
  private func writePlaces(_ page: inout TextPage) {
    Self.write(
      losses, of: lossCount, header: ["lost", "CPU", "events"], alignRight: [true, true, true], &page
    ) { loss in
      [
        loss.place(unit.moment(loss.beforeNs)), String(loss.cpu),
        loss.count.map { Quantity.count($0) } ?? "unknown",
      ]
    }
    Self.write(damage, of: damage.count, header: ["byte", "damage"], alignRight: [true, false], &page) {
      [String($0.offset), $0.what]
    }
  }

  /// So many places stand on the page.
  private static let placesMax = 20

  /// A table of the first places, and of how many more there are.
  ///
  /// - Parameter count: how many there are, of which `places` are the first.
  private static func write<Place>(
    _ places: [Place], of count: Int, header: [String], alignRight: [Bool], _ page: inout TextPage,
    row: (Place) -> [String]
  ) {
    if places.isEmpty { return }
    page.blank()
    page.table(header: header, alignRight: alignRight, rows: places.prefix(placesMax).map(row))
    if count > placesMax {
      page.line(
        "and \(Quantity.count(count - placesMax, "more place")); --json lists "
          + (places.count < count ? "the first \(places.count)" : "them"))
    }
  }

  /// The host's page size in words.
  package var pagesText: String? {
    pageSize.map { "\(Quantity.bytes(UInt64($0))) pages (\((pageSizeBasis ?? .assumed).name))" }
  }

  /// What the recording says of how it was made.
  package var recordingText: String? {
    recording.map { $0.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ") }
  }

  private static func text(_ guests: GuestsEntry) -> String {
    guard !guests.vcpus.isEmpty else { return "none entered" }
    let shown = guests.vcpus.prefix(4).map { "\($0.command ?? "<...>")-\($0.tid)" }.joined(separator: ", ")
    let rest = guests.vcpus.count > 4 ? ", ..." : ""
    let vms = guests.vms.map { "\(Quantity.count($0, "VM")), " } ?? ""
    return "\(vms)\(Quantity.count(guests.vcpus.count, "vCPU thread")): \(shown)\(rest)"
  }

  /// What is known of lost events, in words.
  package var lossText: String {
    guard let lossesUnknownWhy else { return toldLossText }
    return lossCount == 0
      ? "unknown: \(lossesUnknownWhy)" : "\(toldLossText), and whether more is unknown: \(lossesUnknownWhy)"
  }

  /// What is told of losses.
  private var toldLossText: String {
    let counted = lostByCounters.map { Quantity.count($0, "event") }
    if lossCount == 0 {
      if let counted {
        return
          "nothing by the kernel that a page tells of; its counters tell of \(counted), behind the last ones or before the recording"
      }
      return damage.isEmpty
        ? "nothing"
        : "nothing by the kernel; what \(Quantity.count(damage.count, "damaged place")) held is unknown"
    }
    let unknown = losses.contains { $0.count == nil }
    return
      "\(unknown ? "at least " : "")\(Quantity.count(max(lostEvents, UInt64(lossCount)), "event")) in "
      + Quantity.count(lossCount, "place") + (counted.map { "; \($0) by the kernel's counters" } ?? "")
  }
}

extension UntoldLosses {
  /// The reason, as the report words it.
  var words: String {
    switch reason {
    case .perfScript:
      isOfCopy
        ? "it is a copy of a text of perf script, which tells of losses with --show-lost-events alone"
        : "perf script tells of losses with --show-lost-events alone"
    case .missingEntries:
      (isOfCopy ? "it is a copy of a text that has" : "the text has")
        + " fewer entries than its header tells of, and no line says where they are missing"
    case .unknown: isOfCopy ? "it is a copy of a recording that does not tell" : "the source does not tell"
    }
  }
}

extension TraceInfo {
  /// In one line, what is missing from an incomplete trace, and how to go on.
  public var incompleteness: String { lacks + "; --allow-loss accepts this" }

  /// In one line, what is missing from an incomplete trace.
  package var lacks: String {
    var parts: [String] = []
    if let first = damage.first {
      let more =
        switch damage.count - 1 {
        case 0: ""
        case 1: ", and one more place is damaged"
        default: ", and \(damage.count - 1) more places are damaged"
        }
      parts.append("\(first.what) (byte \(first.offset))\(more)")
    }
    if lossCount > 0 {
      let isOne = max(lostEvents, UInt64(lossCount)) == 1
      parts.append(
        gapCount == nil
          ? "the kernel lost \(toldLossText)" : "\(toldLossText) \(isOne ? "is" : "are") missing")
    }
    return parts.joined(separator: "; ")
  }

  /// What figures of the trace are of, where events are missing or may be: a sentence, nil where all are known to be there.
  package var figuresNote: String? {
    var parts: [String] = []
    if !damage.isEmpty {
      parts.append(
        "damaged in \(Quantity.count(damage.count, "place"))"
          + (lossCount == 0 ? ", and how many events are missing there is unknown" : ""))
    }
    if lossCount > 0 {
      parts.append(
        gapCount == nil ? "the kernel lost \(toldLossText)" : "what is missing: \(toldLossText)")
    } else if let lostByCounters {
      parts.append(
        "the kernel's counters tell of \(Quantity.count(lostByCounters, "lost event")), behind the last events or before the recording"
      )
    }
    if let lossesUnknownWhy {
      parts.append("\(lossCount > 0 ? "more " : "")lost events: unknown, for \(lossesUnknownWhy)")
    }
    return parts.isEmpty
      ? nil : "\(path): \(parts.joined(separator: "; ")): its figures are of the events that are there."
  }
}
