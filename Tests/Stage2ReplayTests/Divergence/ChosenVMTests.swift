import Stage2Replay
import Testing

/// The divergences of chosen VMs.
@Suite("Divergences of chosen VMs")
struct ChosenVMTests {
  @Test("What is of no VM is of the whole recording, and stays")
  func limited() {
    var report = DivergenceReport()
    (report.unexplained, report.unknown) = (4, 2)
    for vm in 0..<2 {
      var counts = DivergenceCounts()
      (counts.unexplained, counts.unknown) = (1, vm)
      report.byVM[vm] = counts
    }
    let chosen = report.limited(to: [0])
    #expect(chosen.unexplained == 3 && chosen.unknown == 1 && Set(chosen.byVM.keys) == [0])
    #expect(report.limited(to: [0, 1]).unexplained == 4 && report.limited(to: []).unexplained == 2)
  }
}
