extension CapacityPlan {
  /// The plan as a page of text.
  ///
  /// - Parameter observations: the recordings, as the plan was made with.
  public func text(_ observations: [WorkloadObservation]) -> String {
    var page = TextPage()
    page.title(
      "\(Quantity.count(vms)) VM\(vms == 1 ? "" : "s") of \(Quantity.bytes(memoryBytes)), \(vcpus) vCPU\(vcpus == 1 ? "" : "s") each, on \(profile)"
    )
    if !observations.isEmpty {
      page.table(
        header: ["recorded", "slots", "touched", "by blocks", "lock held to write"],
        alignRight: [false, true, true, true, true],
        rows: observations.map {
          [
            $0.name, Quantity.count($0.slotPages) + " pages", Quantity.count($0.touchedPages) + " pages",
            Self.percent($0.blockShare), Self.percent($0.writeHeldShare),
          ]
        })
      page.blank()
    }
    page.table(
      header: [
        "case", "touched", "blocks", "tree", "tables", "PGD", "caches", "EL2", "a VM", "all VMs", "per GiB",
      ],
      alignRight: [false] + Array(repeating: true, count: 10),
      rows: cases.map { item in
        let need = item.vm
        let parts = [
          need.mappingTreeBytes, need.tableBytes, need.pgdBytes, need.memcacheBytes, need.hypBytes,
          item.vmTotalBytes, item.allVMsBytes, item.bytesPerGiB,
        ]
        return [item.name, Self.percent(item.touchedShare), Self.percent(item.blockShare)]
          + parts.map(Quantity.bytes)
      })
    page.blank()
    if hypVMemmapBytes > 0 {
      page.row("hyp_vmemmap", "\(Quantity.bytes(hypVMemmapBytes)) for the VMs' memory, whatever they touch")
    }
    if let lockLeast, let lockMost {
      page.row(
        "mmu_lock",
        "held to write \(Self.percent(lockLeast)) to \(Self.percent(lockMost)) of the time in each VM (modelled)"
      )
    }
    page.line("assumed:")
    for assumption in assumptions { page.line("  - \(assumption)") }
    return page.text
  }

  /// The cases as CSV.
  public var csv: String {
    let header =
      "case,touchedShare,blockShare,mappingTreeBytes,tableBytes,pgdBytes,memcacheBytes,hypBytes,vmTotalBytes,allVMsBytes,bytesPerGiB\n"
    return header
      + cases.map { item in
        let need = item.vm
        let words: [String] =
          [item.name, String(item.touchedShare), String(item.blockShare)]
          + [
            need.mappingTreeBytes, need.tableBytes, need.pgdBytes, need.memcacheBytes, need.hypBytes,
            item.vmTotalBytes, item.allVMsBytes, item.bytesPerGiB,
          ].map { String($0) }
        // Names of cases have commas.
        return "\"\(words[0])\"," + words.dropFirst().joined(separator: ",") + "\n"
      }.joined()
  }

  private static func percent(_ share: Double?) -> String {
    share.map(Quantity.share) ?? "unknown"
  }
}
