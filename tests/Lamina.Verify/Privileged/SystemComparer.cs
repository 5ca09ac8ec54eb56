using System.Globalization;
using System.Text;
using Iced.Intel;

namespace Lamina.Verify.Privileged;

/// <summary>Has the model and the software CPU execute a case, and says in what they differ.</summary>
internal sealed class SystemComparer(Subject subject, SystemMutation? mutation = null, ProgramMutation? programMutation = null) : IDisposable
{
    private const uint Resume = 0x1_0000;
    private const uint Trap = 0x100;
    private const byte AccessedPage = 0x20;

    private readonly SystemModel _model = new();
    private readonly SystemSubject _subject = new(subject);
    private readonly MachineImage _expected = new();
    private readonly MachineImage _actual = new();

    /// <summary>Instruction of the last case.</summary>
    public Instruction Instruction => _model.Instruction;

    /// <summary>Vector of its first exception, or <see cref="CaseResult.None"/>.</summary>
    public int Vector => _model.FirstVector;

    /// <summary>Instructions of the last case, if that is a program.</summary>
    public IReadOnlyList<ExecutedInstruction> Executed => _model.Executed;

    /// <summary>Cases of which the manuals do not say what comes out.</summary>
    public long Unjudged { get; private set; }

    /// <summary>Cases after which code goes on where the translator cannot be stopped.</summary>
    public long Unstopped { get; private set; }

    public long Shutdowns { get; private set; }

    /// <summary>Whether the software CPU came to no end in the last case.</summary>
    public bool IsAstray => _subject.IsAstray;

    /// <summary>Whether the last case was compared.</summary>
    public bool IsJudged { get; private set; }

    /// <summary>Compares.</summary>
    /// <returns>What differs, or null.</returns>
    public string? Run(MachineImage machine)
    {
        _expected.CopyFrom(machine);
        IsJudged = false;
        try
        {
            _model.Execute(_expected);
        }
        catch (UnjudgedCase)
        {
            Unjudged++;
            return null;
        }

        bool isProgram = machine[MachineRegister.Steps] != 0;
        if (subject != Subject.Interpreter && !isProgram && !CanStop())
        {
            Unstopped++;
            return null;
        }

        IsJudged = true;
        Shutdowns += _model.IsShutdown ? 1 : 0;
        _actual.CopyFrom(machine);
        _subject.Execute(_actual, _model.Executed, programMutation);
        bool isShutdown = _subject.IsShutdown;
        if (!isProgram)
        {
            mutation?.Apply(machine, _model.Instruction, _model.FirstVector, _actual, ref isShutdown);
        }

        if (isShutdown || _model.IsShutdown)
        {
            return isShutdown == _model.IsShutdown ? null : $"{First}: {(isShutdown ? "shutdown" : $"no shutdown, but {Place(_actual)}")}, expected {(_model.IsShutdown ? "shutdown" : Place(_expected))}";
        }

        return Difference(machine);
    }

    public void Dispose() => _subject.Dispose();

    // VMCALL must be next, and may be fetched. No trap may be pending, and nothing may be halted but by HLT.
    private bool CanStop()
    {
        if (_model.IsShutdown || _expected[MachineRegister.Halted] != 0)
        {
            return true;
        }

        const ulong codeEnd = SystemLayout.UserCode + SystemLayout.PageSize - 2;
        return (_expected.Flags & Trap) == 0
            && _model.FindNext() is >= SystemLayout.KernelCode and < codeEnd and var at
            && _expected.Memory.AsSpan((int)at, 3).SequenceEqual((ReadOnlySpan<byte>)[0x0f, 0x01, 0xc1]);
    }

    private static string Place(MachineImage m) => string.Create(CultureInfo.InvariantCulture, $"CPL {m.Cpl} at {m.Segments[MachineImage.Cs].Selector:x}:{m.Rip:x}");

    // Of a program the one that raised the first exception, or the last.
    private Instruction Told => _model.Executed.Find(static e => e.IsFaulting) is { Linear: not 0 } faulting ? faulting.Instruction : _model.Instruction;

    private string First => (Told.IsInvalid ? "no instruction" : Told.ToString())
        + (_model.FirstVector == CaseResult.None ? ", no exception expected" : string.Create(CultureInfo.InvariantCulture, $", exception {_model.FirstVector} code {_model.FirstCode:x} expected"));

    private string? Difference(MachineImage before)
    {
        StringBuilder text = new();
        bool isProgram = before[MachineRegister.Steps] != 0;
        bool narrow = !_expected.Is64;
        for (int n = 0; n < MachineImage.GeneralCount; n++)
        {
            ulong mask = (narrow ? uint.MaxValue : ulong.MaxValue) & ~_model.LooseRegisters[n];
            mask = narrow && n >= 8 ? (before.Is64 ? ulong.MaxValue : 0) : mask;
            Append($"register {n}", before.General[n], _actual.General[n] & mask, _expected.General[n] & mask);
        }

        for (int n = 0; n < (int)MachineRegister.Count; n++)
        {
            ulong mask = (MachineRegister)n switch
            {
                // The interpreter keeps RF only where a breakpoint may look at it.
                MachineRegister.Flags => ~(ulong)(Resume | _model.LooseFlags),
                MachineRegister.Rip when narrow => uint.MaxValue,
                MachineRegister.Cr2 when _model.IsAddressLoose => ~0xfffUL,
                MachineRegister.StackShadow when subject != Subject.Interpreter || isProgram => 0,
                _ => ulong.MaxValue,
            };
            Append(((MachineRegister)n).ToString().ToLowerInvariant(), before.Registers[n], _actual.Registers[n] & mask, _expected.Registers[n] & mask);
        }

        for (int n = 0; n < MachineImage.SegmentCount; n++)
        {
            CompareSegment(text, n);
        }

        for (int at = 0; at < MachineImage.MemorySize; at++)
        {
            at += _expected.Memory.AsSpan(at).CommonPrefixLength(_actual.Memory.AsSpan(at));
            if (at >= MachineImage.MemorySize)
            {
                break;
            }

            // The page that code goes on in was looked at by whoever runs it.
            int mask = at < SystemLayout.Gdt && subject != Subject.Interpreter && !isProgram ? ~AccessedPage : 0xff;
            if (!_model.IsLoose(at) && ((_expected.Memory[at] ^ _actual.Memory[at]) & mask) != 0)
            {
                text.Append(CultureInfo.InvariantCulture, $" memory {at:x} {before.Memory[at]:x2} -> {_actual.Memory[at]:x2}, expected {_expected.Memory[at]:x2};");
            }
        }

        if (text.Length == 0)
        {
            return null;
        }

        return $"{First}, {Place(_expected)}:{text}";

        void Append(string name, ulong old, ulong actual, ulong expected)
        {
            if (actual != expected)
            {
                text.Append(CultureInfo.InvariantCulture, $" {name} {old:x} -> {actual:x}, expected {expected:x};");
            }
        }
    }

    private void CompareSegment(StringBuilder text, int n)
    {
        SegmentImage actual = _actual.Segments[n];
        SegmentImage expected = _expected.Segments[n];
        bool hidden = !(_model.AreSegmentsLoose && n < MachineImage.Task);
        bool same = actual.Selector == expected.Selector;
        if (same && hidden)
        {
            // Of a register that holds nothing only that is known, and the bases of FS and GS, which 64-bit code uses all the same.
            same = actual.IsUsable == expected.IsUsable
                && (expected.IsUsable ? actual == expected : !(_expected.Is64 && n is MachineImage.Fs or MachineImage.Gs) || actual.Base == expected.Base);
        }

        if (!same)
        {
            text.Append(CultureInfo.InvariantCulture, $" segment {n} {actual}, expected {expected};");
        }
    }
}
