internal import KVMTypes
internal import Stage2Model

/// What the figures of a plan rest on, a line each.
struct CapacityAssumptions {
  private(set) var lines: [String] = []

  init(
    _ request: CapacityRequest, _ samples: [VMSample], _ mmuLock: [MMULockUse], _ hostLock: HostLockPlan?
  ) {
    addMemory(request, samples)
    if samples.isEmpty {
      lines.append("no recording: the bounds alone")
    } else {
      addSamples(request, samples)
    }
    addLocks(request, mmuLock, hostLock)
  }

  private mutating func addMemory(_ request: CapacityRequest, _ samples: [VMSample]) {
    let profile = request.profile
    if let bits = request.ipaBitsTooFew {
      lines.append(
        "\(profile.ipaBits) bits of IPA: the \(bits) assumed for the recording are too few for the memory")
    }
    lines.append("a VM's memory is contiguous and aligned; sparse memory needs more tables")
    lines.append(
      profile.isPKVM
        ? "\(profile.bytesPerNode) bytes for each mapping (a kmalloc-64 object; 72 with the slab's memcg extension)"
        : "no object for each mapping on the traditional path")
    lines.append(
      "memcaches: of each vCPU as after its first faults (assumed), or as recorded vCPUs had them "
        + "(modelled from the recording)"
    )
    lines.append(
      "PGD: \(profile.ipaBits) bits of IPA (\(request.ipaBasis.name)) with \(profile.pageSize.bytes / 1024) KiB pages "
        + "(\(request.pageSizeBasis.name))" + Self.pgdRange(request.pgdPages))
    if profile.isPKVM {
      lines.append("EL2: its structures of a VM and of each vCPU have the sizes of one build (assumed)")
    }
    let pvmsMax = 255
    if profile.isPKVM, request.vms > pvmsMax {
      lines.append(
        "\(pvmsMax) protected-mode VMs at most (KVM_MAX_PVMS, assumed): the plan has \(request.vms)")
    }
    if profile.isPKVM {
      lines.append(
        "hyp_vmemmap covers all of the host's memory: what is shown is the part of the VMs' memory")
    }
    if profile.mapsPUDBlocks, !profile.isProtected {
      lines.append(
        "blocks are of 2 MiB, but of 1 GiB where the host backs memory with hugetlb pages of that size")
    }
    if !profile.mapsBlocks { lines.append("\(profile.name) maps no blocks: every mix is pages") }
    if profile.isPKVM, samples.contains(where: \.isProtected) || profile.isProtected {
      lines.append("a protected guest has no blocks: each of its faults donates one page")
    }
  }

  private mutating func addSamples(_ request: CapacityRequest, _ samples: [VMSample]) {
    lines.append(
      "RAM: slots that the guest can write to, of a 64th of the largest or more; the others do not grow with it"
    )
    lines.append("each figure of a recorded VM is the most that it had, at its own moment")
    lines.append("total: the most at one moment, not the sum")
    let joined = samples.filter(\.curve.beganMidLife)
    if !joined.isEmpty {
      lines.append(
        "\(Self.names(joined)): there before the trace began, so the boot and what was mapped then are not known: the peak is a "
          + "lower bound")
    }
    for sample in samples {
      guard let faults = sample.nestedFaults else { continue }
      lines.append(
        "\(sample.name): \(Quantity.count(faults, "fault")) of nested guests not replayed: what their shadow tables take is in no "
          + "figure")
    }
    let timeless = samples.filter(\.curve.points.isEmpty)
    if !timeless.isEmpty {
      lines.append(
        "\(Self.names(timeless)): the clock of the trace does not tell how long anything took: in no figure of time, neither the "
          + "curves nor the locks")
    }
    if request.profile.mapsBlocks, samples.contains(where: { !$0.isProtected }) {
      lines.append(
        "mean mix: blocks and pages in the proportion in which the recorded VMs had them, the mean over the VMs"
      )
    }
    lines.append(VMCurve.rule)
    let growing = samples.count { $0.curve.settled == .growing }
    if growing > 0 {
      lines.append(
        "\(growing) of \(Quantity.count(samples.count, "VM")) had not settled: "
          + (growing == 1
            ? "its peak is a lower bound of what comes later"
            : "their peaks are lower bounds of what comes later")
      )
    }
    lines.append("expected: " + PredictedRange.rule + "; one VM alone shows no spread: what is possible")
    let others = samples.filter { $0.kind != VMSample.Kind(request.profile) }
    if !others.isEmpty {
      let isAny = others.count < samples.count
      lines.append(
        "\(others.count) of \(Quantity.count(samples.count, "VM")) ran on a host of another kind: only the share of RAM touched "
          + "is used"
          + (isAny ? ", and not for the recorded cases; --profile models hosts of one page size alike" : "")
      )
    }
    let planned = request.profile.pageSize
    let sizes = Set(others.map(\.kind.pageSize)).filter { $0 != planned }.sorted { $0.bytes < $1.bytes }
    for size in sizes {
      let inputs = Set(others.filter { $0.kind.pageSize == size }.map(\.input)).sorted()
      lines.append(
        "recorded with \(Quantity.bytes(size.bytes)) pages, not \(Quantity.bytes(planned.bytes)): "
          + inputs.map(String.init).joined(separator: ", "))
    }
  }

  /// Of how many pages the PGD may be, where the bits are a guess.
  private static func pgdRange(_ pages: ClosedRange<Int>?) -> String {
    guard let pages, pages.count > 1 else { return "" }
    return
      ": a guess, so the bounds have a PGD of \(Quantity.count(pages.lowerBound, "page")) and one of \(pages.upperBound)"
  }

  /// The first of them by name.
  private static func names(_ samples: [VMSample]) -> String {
    samples.prefix(6).map(\.name).joined(separator: ", ") + (samples.count > 6 ? ", ..." : "")
  }

  private mutating func addLocks(
    _ request: CapacityRequest, _ mmuLock: [MMULockUse], _ hostLock: HostLockPlan?
  ) {
    if mmuLock.isEmpty {
      lines.append("no recording tells how long mmu_lock is held on such a host")
    } else {
      lines.append(
        "mmu_lock is one for each VM; its recorded sections are simulated with "
          + "\(Quantity.count(request.vcpus, "vCPU")), cloned from the recorded ones"
      )
    }
    let lacks = mmuLock.compactMap(\.lack)
    if !lacks.isEmpty {
      lines.append(
        "sections under mmu_lock that no probe timed are in no figure of it: VM \(lacks.joined(separator: "; "))"
      )
    }
    if hostLock != nil {
      lines.append(
        "the host lock is one for the machine; VMs ask for it independently, at the rate of the recorded ones in their time"
      )
      lines.append(
        "least: EL2's work of share, unshare and donate; most: the host's whole calls, of which it is a part")
    }
    if !mmuLock.isEmpty || hostLock != nil {
      lines.append(
        "durations are those of the recorded hosts: where these were emulated, as the bundled ones were, they say nothing of hardware"
      )
    }
  }
}
