using System.Globalization;
using Iced.Intel;

namespace Lamina.Verify;

/// <summary>Cases that the host's processor judges.</summary>
/// <param name="comparer">Compares them.</param>
/// <param name="generator">Draws them.</param>
/// <param name="hasSegments">Whether they have segments of their own, which the host may have as well.</param>
internal sealed class HostCases(Comparer comparer, ICaseSource generator, bool hasSegments) : ICaseStream
{
    private readonly Shrinker _shrinker = new(comparer, generator);
    private readonly TestCase _test = new();
    private Instruction _instruction;

    public int CasesBetweenLooks => 1024;

    public void Draw(ulong seed, ulong number) => _instruction = generator.Make(seed, number, _test);

    public string Describe() => VectorFile.Write(_test, _instruction.IsInvalid ? "no instruction" : _instruction.ToString());

    public string? Compare(Coverage coverage)
    {
        string? difference = comparer.Run(_test, _instruction);
        if (comparer.IsJudged)
        {
            coverage.Count(_instruction, comparer.Vector);
        }

        return difference;
    }

    public string Shrink(string source, string difference)
    {
        TestCase small = _shrinker.Shrink(_test);
        Instruction i = generator.Decode(small.IsSequence ? small.Split()[^1] : small.Instruction);
        return VectorFile.Write(small, $"{source}\n{comparer.Run(small, i) ?? difference}");
    }

    public string Summarize(Coverage coverage, int failures)
    {
        string summary = string.Create(
            CultureInfo.InvariantCulture,
            $"{coverage.Invalid} of them no instructions, {failures} differences, {comparer.Unconfirmed} that did not show again, {comparer.Unjudged} more that nothing says the end of, {coverage.Missing.Count()} forms not met");
        return !hasSegments ? summary
            : comparer.HasNative ? string.Create(CultureInfo.InvariantCulture, $"{summary}\n{comparer.NativeCases} of them the host executed as they are, with its own segments")
            : $"{summary}\nthe host has no segments for such code: the model, and 64-bit code, in place of it";
    }
}
