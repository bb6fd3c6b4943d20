internal import KVMTypes

extension CapacityPlan {
  /// How many VMs are shown one by one; of more, those that the distribution names.
  private static let vmsMax = 10

  /// The plan as a page of text for a file or a pipe.
  public var text: String { text(in: .filed) }

  /// The plan as a page of text.
  public func text(in form: PageForm) -> String {
    var page = TextPage(form)
    let title =
      "\(subject), \(Quantity.count(vcpus, "vCPU")), on \(profile), "
      + "\(Quantity.bytes(pageSizeBytes)) pages (\(pageSizeBasis.name)), \(ipaBits)-bit IPA (\(ipaBasis.name))"
    if form.isTerminal { page.heading(title) } else { page.title(title) }
    if !samples.isEmpty {
      writeSamples(&page)
      writeDistribution(&page)
      writeCurves(&page)
    }
    writeCases(&page)
    writeLocks(&page)
    for note in notes {
      page.blank()
      page.line(note)
    }
    page.blank()
    page.heading("assumed:")
    for assumption in assumptions { page.item(assumption) }
    return page.rendered
  }

  /// What is planned, in a few words.
  package var subject: String { "\(Quantity.count(vms, "VM")) of \(Quantity.bytes(memoryBytes))" }

  private var shownSamples: [VMSample] {
    guard samples.count > Self.vmsMax else { return samples }
    let named = Set(
      groups.flatMap(\.distribution).filter { $0.figure == "totalBytesPerGiB" || $0.figure == "touchedShare" }
        .flatMap { [$0.least.name, $0.median.name, $0.most.name] })
    return samples.filter { named.contains($0.name) }
  }

  private func writeSamples(_ page: inout TextPage) {
    var last = -1
    for sample in samples where sample.input != last {
      last = sample.input
      page.line("  \(last)  \(sample.recording)" + (hosts.count > 1 ? " (\(sample.host))" : ""))
    }
    if hosts.count > 1 {
      page.line(
        "recorded on hosts of \(Quantity.count(hosts.count, "kind")), whose figures do not compare: each kind has its own below"
      )
    }
    page.blank()
    let shown = shownSamples
    page.heading(
      "what \(Quantity.count(samples.count, "recorded VM")) had at the peak"
        + (shown.contains(where: \.isRange)
          ? ", under \(profile) from the least to the most that the recording allows" : "")
        + (shown.count < samples.count ? "; \(shown.count) are shown, all are in the JSON" : ""))
    page.table(
      header: ["VM", "RAM", "vCPUs", "touched", "tree", "tables", "memcaches", "EL2", "total", "settled"],
      alignRight: [false] + Array(repeating: true, count: 8) + [false],
      rows: shown.flatMap { sample in
        let row =
          [
            sample.name, Quantity.bytes(sample.ramBytes), String(sample.vcpus),
            Self.percent(sample.touchedShare),
          ] + Self.words(sample.peak) + [sample.curve.settled.rawValue]
        return sample.isRange ? [row, ["", "", "", "to"] + Self.words(sample.peakMost) + [""]] : [row]
      }, spare: [9, 2, 7, 6, 5, 4, 1])
  }

  private static func words(_ peak: Stage2Peak) -> [String] {
    [
      peak.mappingTreeBytes, peak.tableBytes + peak.pgdBytes, peak.memcacheBytes, peak.hypBytes,
      peak.totalBytes,
    ].map(Quantity.bytes)
  }

  private var hosts: [String] { VMSample.hosts(samples) }

  private func writeDistribution(_ page: inout TextPage) {
    for group in groups {
      for host in hosts {
        writeDistribution(group.distribution.filter { $0.host == host }, group, &page)
      }
    }
  }

  private func writeDistribution(
    _ figures: [SampleDistribution], _ group: CapacityGroup, _ page: inout TextPage
  ) {
    guard let first = figures.first else { return }
    page.blank()
    page.heading(
      "over \(Quantity.count(first.samples, group.isProtected ? "protected VM" : "VM"))"
        + (hosts.count > 1 ? " on \(first.host)" : "") + ", for each GiB of RAM"
    )
    page.table(
      header: ["", "least", "VM", "median", "VM", "mean", "most", "VM"],
      alignRight: [false, true, false, true, false, true, true, false],
      rows: figures.map { figure in
        [
          figure.word, figure.text(figure.least.value), figure.least.name,
          figure.text(figure.median.value), figure.median.name, figure.text(figure.mean),
          figure.text(figure.most.value), figure.most.name,
        ]
      },
      spare: [
        5, SpareColumns([4], called: "VM of the median"), SpareColumns([2], called: "VM of the least"),
        SpareColumns([7], called: "VM of the most"),
      ])
  }

  private func writeCurves(_ page: inout TextPage) {
    let shares = VMCurve.shownShares
    let samples = shownSamples.filter { !$0.curve.points.isEmpty }
    if samples.isEmpty { return }
    let joined = samples.filter(\.curve.beganMidLife)
    let start =
      joined.isEmpty
      ? "its boot"
      : (joined.count < samples.count ? "its boot, or, of a VM that was there before (+), " : "")
        + "the beginning of the trace"
    page.blank()
    page.heading("all bytes as recorded, and what was touched, at shares of the VM's time since \(start)")
    page.table(
      header: ["VM", "time"] + shares.map { $0 == 1 ? "end" : Self.percent($0) },
      alignRight: [false] + Array(repeating: true, count: shares.count + 1),
      rows: samples.flatMap { sample in
        let points = shares.map { sample.curve.point(at: $0) }
        return [
          [
            sample.name + (sample.curve.beganMidLife && joined.count < samples.count ? "+" : ""),
            Quantity.duration(sample.curve.recordedNs),
          ]
            + points.map { $0.map { Quantity.bytes($0.totalBytes) } ?? "unknown" },
          ["", ""] + points.map { Self.percent($0?.touchedShare) },
        ]
      }, spare: [2, 5, 3, 1, 4])
  }

  private func writeCases(_ page: inout TextPage) {
    for group in groups {
      page.blank()
      if groups.count > 1 || group.isProtected {
        page.line(group.isProtected ? "protected guests" : "guests that are not protected")
      }
      page.table(
        header: ["case", "tree", "tables", "memcaches", "EL2", "a VM", "all VMs"],
        alignRight: [false] + Array(repeating: true, count: 6),
        rows: cases.filter { $0.isProtected == group.isProtected }.map { item in
          let need = item.need
          let place = item.vm.map { " (\(item.input ?? 0):\($0))" } ?? ""
          return [item.name + place]
            + [
              need.mappingTreeBytes, need.tableBytes + need.pgdBytes, need.memcacheBytes, need.hypBytes,
              item.vmTotalBytes, item.allVMsBytes,
            ].map(Quantity.bytes)
        }, spare: [4, 3, 2, 1])
      if let total = group.predicted["totalBytes"], group.samples > 0 {
        let range = "\(Quantity.bytes(total.least)) to \(Quantity.bytes(total.most))"
        let samples = Quantity.count(total.samples, "sample")
        page.line(
          "one more such VM: "
            + (total.isAllPossible
              ? "unknown (\(samples): anything possible), \(range)" : "\(range) are to be expected"))
      }
    }
    if hypVMemmapBytes > 0 {
      page.row(
        "hyp_vmemmap",
        "\(Quantity.bytes(hypVMemmapBytes)) for the VMs' memory, whatever they touch (\(hypVMemmapBasis.name))"
      )
    }
  }

  private func writeLocks(_ page: inout TextPage) {
    if !mmuLock.isEmpty {
      page.row(
        "mmu_lock",
        "each VM's own, with \(Quantity.count(vcpus, "vCPU")): of the time from the first recorded section of a vCPU to the last, held to write "
          + "\(Self.range(mmuLock.map(\.writeUtilisation))), to read \(Self.range(mmuLock.map(\.readUtilisation))) (modelled)"
      )
    }
    guard let lock = hostLock else { return }
    if lock.isUnknown, let error = lock.costError {
      page.row(
        "host lock",
        "EL2's, shared by all VMs: unknown: the costs fit with an error of \(Quantity.share(error))")
      page.row("", "the JSON has what they would give")
      return
    }
    let rate = Quantity.decimal(UInt64(nearest: lock.acquisitionsPerSecond * 10), by: 10, digits: 1)
    page.row(
      "host lock",
      "EL2's, shared by all VMs: of the time in which they run, they ask for it \(Self.percent(lock.demandLeast)) to "
        + "\(Self.percent(lock.demandMost)), and hold it \(Self.percent(lock.utilisationLeast)) to "
        + "\(Self.percent(lock.utilisationMost)), for who waits for it asks later (modelled)"
    )
    page.row(
      "",
      "\(rate) times a second by each VM in its recorded time; mean wait, at most \(Self.wait(lock.meanWaitMostNs))"
    )
    page.row(
      "", "the rate is the recorded VMs' with their vCPUs and RAM, not scaled to the planned ones")
    page.row(
      "",
      "saturated, so that they ask for all of the time or more and slow each other down, from "
        + "\(Self.vms(lock.saturatesAtLeast)) on where each takes the most, "
        + (lock.saturatesAtMost.map { "from \(Self.number($0)) on where each takes the least" }
          ?? "from a number on that the costs do not tell where each takes the least"))
    page.row(
      "",
      "costs \(lock.costs), \(lock.costsBasis.name), error "
        + (lock.costError.map { "\(Quantity.share($0)), which the range has" }
          ?? "unknown: nobody checked them"))
  }

  private static func wait(_ nanoseconds: Double) -> String {
    Quantity.duration(UInt64(nearest: nanoseconds))
  }

  /// From the least share to the most, where any is known.
  private static func range(_ shares: [Double?]) -> String {
    let known = shares.compactMap(\.self)
    guard let least = known.min(), let most = known.max() else { return "unknown" }
    let isOne = known.count == 1
    return percent(least)
      + (isOne ? (shares.count > 1 ? " in the only VM that tells" : "") : " to \(percent(most))")
      + (known.count < shares.count
        ? " (unknown of \(Quantity.count(shares.count - known.count, "VM")))" : "")
  }

  /// The least whole number that is not below `value`.
  private static func number(_ value: Double) -> String {
    value < 1e15 ? Quantity.count(UInt64(value.rounded(.up))) : "more than 10^15"
  }

  /// So many VMs, as a whole number that is not below `count`.
  package static func vms(_ count: Double) -> String {
    number(count) == "1" ? "1 VM" : "\(number(count)) VMs"
  }

  private static func percent(_ share: Double?) -> String {
    share.map(Quantity.share) ?? "unknown"
  }
}

extension SampleDistribution {
  private static let words = [
    "touchedShare": "touched", "mappingTreeBytesPerGiB": "tree", "tableBytesPerGiB": "tables",
    "memcacheBytesPerGiB": "memcaches", "hypBytesPerGiB": "EL2", "totalBytesPerGiB": "total",
  ]

  /// The word that pages have for the figure.
  package var word: String { Self.words[figure] ?? figure }

  /// One of its values.
  package func text(_ value: Double) -> String {
    figure == "touchedShare" ? Quantity.share(value) : Quantity.bytes(UInt64(nearest: value))
  }
}

extension VMCurve {
  /// The shares of a VM's time at which a table has what it had.
  package static let shownShares = [0.125, 0.25, 0.5, 0.75, 1]
}
