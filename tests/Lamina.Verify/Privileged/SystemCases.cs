using System.Globalization;

namespace Lamina.Verify.Privileged;

/// <summary>Privileged cases, which the model judges.</summary>
internal sealed class SystemCases(SystemComparer comparer, SystemGenerator generator) : ICaseStream
{
    private readonly SystemShrinker _shrinker = new(comparer);
    private readonly MachineImage _machine = new();

    public int CasesBetweenLooks => 256;

    public void Draw(ulong seed, ulong number) => generator.Make(seed, number, _machine);

    public string Describe() => SystemVector.Write(_machine, "as it was drawn");

    public string? Compare(Coverage coverage)
    {
        string? difference = comparer.Run(_machine);
        if (comparer.IsJudged && comparer.Executed.Count > 0)
        {
            coverage.Count(comparer.Executed);
        }
        else if (comparer.IsJudged)
        {
            coverage.Count(comparer.Instruction, comparer.Vector);
        }

        return difference;
    }

    public string Shrink(string source, string difference)
    {
        MachineImage small = _shrinker.Shrink(_machine);
        return SystemVector.Write(small, $"{source}\n{comparer.Run(small) ?? difference}");
    }

    public string Summarize(Coverage coverage, int failures) => string.Create(
        CultureInfo.InvariantCulture,
        $"{comparer.Shutdowns} of them shutdowns, {failures} differences, {comparer.Unjudged} more that no manual says the end of, {comparer.Unstopped} more after which the translator cannot be stopped");
}
