internal import KVMTypes
internal import Reporting

/// What the VM's stage 2 maps and takes: over time, and what it consists of.
enum MemorySection {
  static func markup(_ subject: VMSubject) -> Markup {
    guard subject.vm.memory.totalBytes != nil else {
      return VMSection.part(
        "Memory of the stage 2",
        .element("p") {
          "Nothing tells what is mapped: "
          BasisMark.markup(nil)
        })
    }
    return VMSection.part(
      "Memory of the stage 2",
      DataTable.row(of: sizes(subject), parts(subject)) + MemoryPlots.markup(subject))
  }

  /// The figures at the end and at most.
  private static func sizes(_ subject: VMSubject) -> DataTable {
    let memory = subject.vm.memory
    var table = DataTable(
      caption: "Sizes", header: ["what", "at the end", "at most", "basis"], numbers: [1, 2])
    func row(_ name: String, _ live: Int, _ peak: Int, _ basis: Basis?, _ text: (UInt64) -> String) {
      table.row(name, text(UInt64(max(live, 0))), text(UInt64(max(peak, 0))), basis: basis)
    }
    func row(_ name: String, _ level: ReplayReport.Level?, _ basis: Basis?, _ text: (UInt64) -> String) {
      if let level { row(name, level.live, level.peak, basis, text) }
    }
    let count: (UInt64) -> String = { Quantity.count($0) }
    if let mappings = memory.mappings {
      row("mappings", mappings.live, mappings.peak, memory.mappingsBasis, count)
      row("of pages", mappings.page, memory.mappingsBasis, count)
      row("of blocks", mappings.block, memory.mappingsBasis, count)
    }
    row("mapping tree", memory.mappingTreeBytes, memory.mappingTreeBytesBasis, Quantity.bytes)
    if let tables = memory.tablePages {
      row("table pages", tables.live, tables.peak, memory.tablesBasis, count)
      for (level, pages) in tables.byLevel.sorted(by: { $0.key < $1.key }) {
        row("of level \(level)", pages, memory.tablesBasis, count)
      }
    }
    row("pages in memcaches", memory.memcachePages, memory.tablesBasis, count)
    row("all bytes", memory.totalBytes, memory.basis, Quantity.bytes)
    if let depth = memory.treeDepth {
      table.row(
        "depth of the tree", Quantity.fixed(depth.mean, digits: 1) + " mean", Quantity.count(depth.max),
        basis: memory.mappingsBasis)
    }
    return table
  }

  /// What it consists of at the end.
  private static func parts(_ subject: VMSubject) -> DataTable {
    let memory = subject.vm.memory
    var table = DataTable(
      caption: "What it consists of at the end", header: ["what", "bytes", "basis"], numbers: [1])
    func row(_ name: String, _ bytes: Int?, _ basis: Basis?) {
      if let bytes { table.row(name, Quantity.bytes(UInt64(max(bytes, 0))), basis: basis) }
    }
    for part in ReplayReport.MemoryParts.Part.allCases {
      row(part.title, memory.parts?.bytes[part], memory.basis(of: part))
    }
    let isGone = subject.vm.endedNs != nil
    row("held by the host", memory.hostBytes, isGone ? subject.vm.liveBasis : memory.basis)
    row("held by EL2", memory.hypBytes, isGone ? subject.vm.liveBasis : memory.hypBasis)
    row("all, before the VM was gone", memory.lastState?.totalBytes, memory.basis)
    row("for each GiB in use", memory.bytesPerTouchedGiB, memory.basis)
    return table
  }
}
