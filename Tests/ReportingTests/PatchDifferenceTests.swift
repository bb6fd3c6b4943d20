import Testing

@testable import Reporting

/// What is shown of a call after which two sides differ.
@Suite("Differences of a patch")
struct PatchDifferenceTests {
  @Test("A line that stands for many effects counts as so many where it is said how many are left out")
  func rest() {
    let told = PatchDifference.Told(
      result: 0, leaf: nil, effects: ["unshare_guest, 300 times", "-1 mapping object"], counts: [300, 1],
      effectCount: 320)
    #expect(told.rest(behind: 10) == 9 && told.rest(behind: 10, lines: 1) == 10)
    #expect(told.outcome == "returns 0")
  }
}
