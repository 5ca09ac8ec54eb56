namespace Lamina.Verify;

/// <summary>Executes cases of 64-bit code at CPL 3 on this host's processor.</summary>
internal interface IHostOracle
{
    /// <summary>Executes; the arena's data is the instruction's. <see cref="CaseResult.IsElsewhere"/>: what it did is not known.</summary>
    void Run(TestCase test, ref CaseResult result);
}
