internal import KVMTypes
internal import Reporting

/// The page of a plan: what a number of VMs cost their host, from which recordings, and on what that rests.
struct CapacityPage {
  let plan: CapacityPlan
  let maker: String

  /// The whole page.
  var markup: Markup {
    var frame = PageFrame(
      title: "Plan for \(plan.subject)",
      subtitle: "What VMs like those recorded cost their host in stage-2 memory and lock time.", maker: maker)
    var sections = SectionList("h2")
    sections.add("basis", "How to read it", basis)
    sections.add("plan", "What is planned", DataTable.row(of: request, figures) + .list(plan.notes))
    sections.add("cases", "What the VMs need", CaseSection(plan: plan).markup)
    sections.add("samples", "What the recorded VMs had", SampleSection(plan: plan).markup)
    sections.add("curves", "The recorded VMs over time", CurveSection(plan: plan).markup)
    sections.add("locks", "Locks", HostLockSection(plan: plan).markup)
    sections.add("assumptions", "What it rests on", .list(plan.assumptions))
    frame.add(sections)
    return frame.markup
  }

  private var basis: Markup {
    let ids =
      "A recorded VM is called by its recording's position and its number there: 1:0 is the first VM of the second one."
    let bases = BasisSection.bases(
      computedFrom: "what was recorded, or from the size of the memory alone, by a stated rule")
    return bases + (plan.samples.isEmpty ? Markup() : .paragraph(ids) + BasisSection.pointing("it"))
  }

  private var request: DataTable {
    var table = DataTable(caption: "The plan", header: ["what", "value", "basis"])
    func stated(_ name: String, _ value: String) {
      table.rows.append([.text(name), .text(value), .text("as asked for")])
    }
    stated("VMs", Quantity.count(plan.vms))
    stated("RAM of each", Quantity.bytes(plan.memoryBytes))
    stated("vCPUs of each", Quantity.count(plan.vcpus))
    table.rows.append([.text("profile of the host"), .text(plan.profile), .text("")])
    table.row("page size", Quantity.bytes(plan.pageSizeBytes), basis: plan.pageSizeBasis)
    table.row("IPA", "\(plan.ipaBits) bits", basis: plan.ipaBasis)
    return table
  }

  /// What the figures of all cases are, and how each is known.
  private var figures: DataTable {
    var table = DataTable(caption: "The figures", header: ["figure", "what it is", "basis"])
    table.row(
      "tree", "an object for each mapping; none on the traditional path: " + source, basis: .modelled)
    table.row("tables", "tables below the PGD: " + source, basis: .modelled)
    table.row(
      "tables", "the PGD, which is one for each VM: by page size and IPA",
      basis: max(plan.pageSizeBasis, plan.ipaBasis))
    table.row("memcaches", "spare pages of each vCPU as after its first faults", basis: .assumed)
    if !plan.samples.isEmpty {
      table.row("memcaches", "of recorded vCPUs, where they had more", basis: .modelled)
    }
    table.row("EL2", "structures of each VM and vCPU; none on the traditional path", basis: .assumed)
    if plan.hypVMemmapBytes > 0 {
      table.row(
        "hyp_vmemmap",
        "\(Quantity.bytes(plan.hypVMemmapBytes)) for the VMs' memory, whatever they touch; in no other figure",
        basis: .modelled)
    }
    return table
  }

  private var source: String {
    plan.samples.isEmpty
      ? "by the RAM" : "of a recorded VM at its most, grown with the RAM, or by the RAM alone"
  }
}
