using System.Globalization;
using System.Text;
using Iced.Intel;
using Lamina.SoftCpu.Tests.Fpu;
using Lamina.Verify.Legacy;

namespace Lamina.Verify;

/// <summary>Runs a case on the software CPU and on the host and says what differs. One thread.</summary>
internal sealed unsafe class Comparer : IDisposable
{
    private const ulong ComparedFlags = 0xcd5;

    // All that there are, for POPF, but RF, which an exception's frame has set.
    private const ulong AllFlags = 0x3e_7fd5;
    private const int InvalidOpcode = 6;

    // A hypervisor under the host may take a page away and then refuse the fault's stack pointer, which is any number here.
    private const int Attempts = 3;
    private const int StackFault = 12;
    private const int GeneralProtection = 13;
    private const int PageFault = 14;
    private readonly Arena _arena = new();
    private readonly GuestProcessor _guest;
    private readonly NativeOracle _native;
    private readonly KvmOracle? _kvm;
    private readonly IHostOracle _oracle;
    private readonly LegacyOracle _legacy;
    private readonly Mutation? _mutation;
    private readonly Subject _subject;
    private readonly byte[] _guestMemory = new byte[Arena.DataSize];
    private CaseResult _expected;
    private CaseResult _actual;

    public Comparer(Subject subject, Oracle oracle = Oracle.Native, Mutation? mutation = null)
    {
        _native = new NativeOracle(_arena);
        HostSegments segments = new(_native);
        _kvm = oracle == Oracle.Kvm ? new KvmOracle(_arena, segments) : null;
        _oracle = (IHostOracle?)_kvm ?? _native;
        _guest = new GuestProcessor(_arena, subject, segments);
        _legacy = new LegacyOracle(_native);
        FetchCode();
        _native.FindLegacyCode();
        _mutation = mutation;
        _subject = subject;
    }

    /// <summary>Vector of the exception that the host raised in the last case, or <see cref="CaseResult.None"/>.</summary>
    public int Vector => _expected.Vector;

    /// <summary>Differences that did not show again.</summary>
    public long Unconfirmed { get; private set; }

    /// <summary>Cases of which nothing says what happens.</summary>
    public long Unjudged { get; private set; }

    /// <summary>Cases of 16- and 32-bit code that the host executed itself.</summary>
    public long NativeCases { get; private set; }

    /// <summary>Whether the host executes 16- and 32-bit code.</summary>
    public bool HasNative => _legacy.HasNative;

    /// <summary>Whether the last case was compared.</summary>
    public bool IsJudged { get; private set; }

    /// <summary>Compares. Null, or what differs each time.</summary>
    public string? Run(TestCase test, in Instruction i)
    {
        string? difference = RunOnce(test, i);
        for (int attempt = 1; attempt < Attempts && difference != null; attempt++)
        {
            difference = RunOnce(test, i);
            Unconfirmed += difference == null ? 1 : 0;
        }

        return difference;
    }

    private string? RunOnce(TestCase test, in Instruction i)
    {
        test.Memory.CopyTo(Arena.Bytes);
        IsJudged = false;
        if (test.Bits != 64 && _subject != Subject.Interpreter)
        {
            if (!_legacy.Run(test, i, ref _expected) || IsInsideItself(test))
            {
                Unjudged++;
                return null;
            }

            test.Memory.CopyTo(Arena.Bytes);
        }

        _guest.Run(test, ref _actual);
        _mutation?.Apply(test, i, ref _actual);
        Arena.Bytes.CopyTo(_guestMemory);
        test.Memory.CopyTo(Arena.Bytes);
        if (test.Bits == 64)
        {
            if (_kvm != null && !test.IsSequence && !_kvm.Executes(test, i))
            {
                Unjudged++;
                return null;
            }

            _oracle.Run(test, ref _expected);
            _expected.ComparedFlags = !test.IsSequence && i.Mnemonic is Mnemonic.Popf or Mnemonic.Popfq ? AllFlags : 0;
            _expected.IsPartial = false;
            if (_expected.IsElsewhere || _kvm != null && _kvm.IsItsOwn(_expected, _actual))
            {
                Unjudged++;
                return null;
            }
        }
        else if (!_legacy.Run(test, i, ref _expected))
        {
            Unjudged++;
            return null;
        }

        IsJudged = true;
        if (!test.IsSequence)
        {
            UndefinedResults.TakeMaskOver(test, i, Arena.Bytes, _guestMemory);
        }

        string? difference = Judge(test, i);
        if (test.Bits != 64 && difference == null && _legacy.HasNative)
        {
            test.Memory.CopyTo(Arena.Bytes);
            if (_legacy.TryRunNative(test, i, ref _expected))
            {
                NativeCases++;
                UndefinedResults.TakeSlotOver(test, i, _expected, Arena.Bytes, _guestMemory);
                difference = Judge(test, i);
            }
        }

        return difference;
    }

    private string? Judge(TestCase test, in Instruction i) =>
        IsSame(test, i) || (!test.IsSequence && UndefinedResults.IsMakersOwn(test, i, _expected, _actual)) ? null : Describe(test, i);

    public void Dispose()
    {
        _kvm?.Dispose();
        _native.Dispose();
        _guest.Dispose();
        _arena.Dispose();
    }

    // The code's page is there from now on.
    private void FetchCode()
    {
        TestCase nothing = new() { Length = 1 };
        nothing.Code[0] = 0x90;
        nothing.State.Flags = 2;
        nothing.State.Mxcsr = 0x1f80;
        fixed (NativeState* state = &nothing.State)
        {
            const ushort initialControl = 0x37f;
            state->General[4] = Arena.Data + (Arena.DataSize / 2);
            *(ushort*)state->X87 = initialControl;
        }

        _native.Run(nothing, ref _expected);
        _native.CheckStack();
    }

    private bool IsSame(TestCase test, in Instruction i)
    {
        if (test.Bits != 64)
        {
            if (!IsSameSegments())
            {
                return false;
            }
        }
        else if (test.LoadsSegments && !AreSelectorsSame())
        {
            return false;
        }
        else if (i.IsInvalid)
        {
            // What the host knows beyond the model is not the model's; what it knows of less, neither.
            return _expected.Vector != InvalidOpcode || _actual.Vector == InvalidOpcode;
        }

        return IsSameEnd(test, i)
            && ((_expected.State.Flags ^ _actual.State.Flags) & (_expected.ComparedFlags != 0 ? _expected.ComparedFlags : ComparedFlags) & ~Undefined(test, i)) == 0
            && _expected.State.Mxcsr == _actual.State.Mxcsr
            && AreRegistersSame(i)
            && (_expected.IsPartial || UndefinedResults.IsResultUndefined(i) || Arena.Bytes.SequenceEqual(_guestMemory));
    }

    private bool IsSameSegments()
    {
        if (_expected.Accessed != _actual.Accessed)
        {
            return false;
        }

        for (int n = 0; n < SegmentValues.Count; n++)
        {
            bool handlers = _actual.IsDelivered && (n is SegmentValues.Cs or SegmentValues.Ss);
            if (handlers ? _expected.Segments[n].Selector != _actual.Segments[n].Selector : _expected.Segments[n] != _actual.Segments[n])
            {
                return false;
            }
        }

        return true;
    }

    // A jump into the instruction itself executes another one, or never ends, in a guest that goes on.
    private bool IsInsideItself(TestCase test) =>
        _expected.Vector == CaseResult.None && (uint)((uint)_expected.Rip + test.Segments[SegmentValues.Cs].Base - (uint)Arena.Slot) < test.Length;

    private ulong Undefined(TestCase test, in Instruction i) =>
        !test.IsSequence ? UndefinedResults.Flags(i)
        : _expected.Vector == CaseResult.None ? test.UndefinedFlags
        : test.UndefinedAtFault | (_subject == Subject.Interpreter ? 0 : test.DeadFlagsAt((int)(_expected.Rip - Arena.Slot)));

    // Of 64-bit code, where the host does not show more.
    private bool AreSelectorsSame()
    {
        for (int n = 0; n < SegmentValues.Count && _expected.Vector == CaseResult.None && _actual.Vector == CaseResult.None; n++)
        {
            if (_expected.Segments[n].Selector != _actual.Segments[n].Selector)
            {
                return false;
            }
        }

        return true;
    }

    private bool IsSameEnd(TestCase test, in Instruction i)
    {
        if (_expected.IsPartial && (_expected.Vector is StackFault or PageFault) && (_actual.Vector is StackFault or PageFault))
        {
            return true;
        }

        if (test.IsSequence && _expected.Rip == _actual.Rip && UndefinedResults.IsAccess(_expected.Vector) && UndefinedResults.IsAccess(_actual.Vector) && IsComparisonAt(test, (int)(_expected.Rip - Arena.Slot)))
        {
            return true;
        }

        if (_expected.Vector != _actual.Vector)
        {
            return false;
        }

        if (_expected.Vector == CaseResult.None)
        {
            return _expected.Rip == _actual.Rip;
        }

        if (test.Bits == 64 && _expected.Rip != _actual.Rip)
        {
            return false;
        }

        if (_expected.Vector is GeneralProtection or StackFault && _expected.ErrorCode != _actual.ErrorCode)
        {
            return false;
        }

        if (_expected.Vector != PageFault)
        {
            return true;
        }

        // Linux hides from programs whether addresses of its own are present.
        if (_expected.IsPartial)
        {
            return true;
        }

        uint codes = _expected.Address >= Arena.FirstKernelAddress ? ~1u : ~0u;
        ulong parts = test.IsSequence ? 1 : UndefinedResults.PartsLength(i);
        return (_expected.Address == _actual.Address || (parts > 1 && (uint)(_expected.Address - _actual.Address) < parts)) && ((_expected.ErrorCode ^ _actual.ErrorCode) & codes) == 0;
    }

    private static bool IsComparisonAt(TestCase test, int offset)
    {
        const byte compareBytes = 0xa6;
        const byte compare = 0xa7;
        int at = 0;
        foreach (byte[] code in test.Split())
        {
            if (at == offset)
            {
                return code[^1] is compareBytes or compare && code[..^1].All(static b => b is 0x26 or 0x2e or 0x36 or 0x3e or 0x66 or 0x67 or 0xf2 or 0xf3 || (b & 0xf0) == 0x40);
            }

            at += code.Length;
        }

        return false;
    }

    private bool AreRegistersSame(in Instruction i)
    {
        fixed (NativeState* e = &_expected.State, a = &_actual.State)
        {
            if (!new Span<byte>(e->Vectors, 512).SequenceEqual(new Span<byte>(a->Vectors, 512)))
            {
                return false;
            }

            if (!new Span<byte>(e->General, 128).SequenceEqual(new Span<byte>(a->General, 128)) && !UndefinedResults.IsResultUndefined(i))
            {
                return false;
            }

            // Control, status and tag words, then 80 bits of each register.
            const uint Words = uint.MaxValue;
            if (((*(uint*)e->X87 ^ *(uint*)a->X87) & Words) != 0 || e->X87[4] != a->X87[4])
            {
                return false;
            }

            for (int n = 0; n < 8; n++)
            {
                int at = 32 + (n * 16);
                if (*(ulong*)(e->X87 + at) != *(ulong*)(a->X87 + at) || *(ushort*)(e->X87 + at + 8) != *(ushort*)(a->X87 + at + 8))
                {
                    return false;
                }
            }
        }

        return true;
    }

    private string Describe(TestCase test, in Instruction i)
    {
        StringBuilder text = new();
        text.Append(CultureInfo.InvariantCulture, $"{Convert.ToHexString(test.Instruction)} {(test.IsSequence ? $"({test.Lengths.Count} instructions)" : i.IsInvalid ? "(invalid)" : i.ToString())}:");
        if (_expected.Vector != _actual.Vector || _expected.Rip != _actual.Rip)
        {
            text.Append(CultureInfo.InvariantCulture, $" ends with {Name(_actual)}, the host with {Name(_expected)};");
        }

        if (_expected.Vector >= 0 && _expected.Vector == _actual.Vector && (_expected.ErrorCode != _actual.ErrorCode || _expected.Address != _actual.Address))
        {
            text.Append(CultureInfo.InvariantCulture, $" error code {_actual.ErrorCode:x} address {_actual.Address:x}, the host's {_expected.ErrorCode:x} and {_expected.Address:x};");
        }

        ulong flags = (_expected.ComparedFlags != 0 ? _expected.ComparedFlags : ComparedFlags) & ~Undefined(test, i);
        Append("flags", test.State.Flags & flags, _actual.State.Flags & flags, _expected.State.Flags & flags);
        Append("mxcsr", test.State.Mxcsr, _actual.State.Mxcsr, _expected.State.Mxcsr);
        for (int n = 0; n < 16; n++)
        {
            Append($"register {n}", test.State.General[n], _actual.State.General[n], _expected.State.General[n]);
        }

        fixed (NativeState* b = &test.State, e = &_expected.State, a = &_actual.State)
        {
            for (int n = 0; n < 64; n++)
            {
                Append($"vector {n / 4}[{n % 4}]", ((ulong*)b->Vectors)[n], ((ulong*)a->Vectors)[n], ((ulong*)e->Vectors)[n]);
            }

            Append("x87 words", *(uint*)b->X87, *(uint*)a->X87, *(uint*)e->X87);
            Append("x87 tags", b->X87[4], a->X87[4], e->X87[4]);
            for (int n = 0; n < 8; n++)
            {
                int at = 32 + (n * 16);
                Append($"st{n}", *(ulong*)(b->X87 + at), *(ulong*)(a->X87 + at), *(ulong*)(e->X87 + at));
                Append($"st{n} exponent", *(ushort*)(b->X87 + at + 8), *(ushort*)(a->X87 + at + 8), *(ushort*)(e->X87 + at + 8));
            }
        }

        for (int n = 0; n < SegmentValues.Count && (test.Bits != 64 || test.LoadsSegments); n++)
        {
            if (_actual.Segments[n] != _expected.Segments[n])
            {
                text.Append(CultureInfo.InvariantCulture, $" segment {n} {_actual.Segments[n]}, expected {_expected.Segments[n]};");
            }
        }

        if (test.Bits != 64 && _expected.Accessed != _actual.Accessed)
        {
            text.Append(CultureInfo.InvariantCulture, $" accessed descriptors {_actual.Accessed:x}, expected {_expected.Accessed:x};");
        }

        int memory = Arena.Bytes.CommonPrefixLength(_guestMemory);
        if (memory < Arena.DataSize)
        {
            text.Append(CultureInfo.InvariantCulture, $" memory at {Arena.Data + (ulong)memory:x}: {_guestMemory[memory]:x2}, the host's {Arena.Bytes[memory]:x2};");
        }

        return text.ToString();

        void Append(string name, ulong before, ulong actual, ulong expected)
        {
            if (actual != expected)
            {
                text.Append(CultureInfo.InvariantCulture, $" {name} {before:x} -> {actual:x}, the host's {expected:x};");
            }
        }
    }

    private static string Name(in CaseResult result) => string.Create(
        CultureInfo.InvariantCulture, $"{(result.Vector == CaseResult.None ? "nothing" : $"exception {result.Vector} code {result.ErrorCode:x} address {result.Address:x}")} at {result.Rip:x}");
}
