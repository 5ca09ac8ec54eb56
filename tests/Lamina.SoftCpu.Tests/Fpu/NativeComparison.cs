using System.Text;
using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu.Tests.Fpu;

/// <summary>Executes the same bytes natively and as a guest, and compares everything.</summary>
internal sealed unsafe class NativeComparison : IDisposable
{
    private readonly byte[] _before = new byte[8192];
    private readonly byte[] _expected = new byte[8192];

    public NativeMachine Host { get; } = new();

    public GuestMachine Guest { get; } = new();

    /// <summary>Status flags that may differ.</summary>
    public uint IgnoredFlags { get; set; }

    /// <summary>Byte ranges of memory, from the operand, that may differ.</summary>
    public List<(int Start, int Length)> IgnoredMemory { get; } = [];

    /// <summary>Offset of the memory operand in the two pages.</summary>
    public int Offset { get; set; }

    /// <summary>The x87 state is to be the same (it always is, but comparing costs).</summary>
    public bool ComparesX87 { get; set; } = true;

    /// <summary>Runs with the state in <see cref="NativeMachine.State"/> and the memory in <see cref="GuestMachine.Memory"/>; null, or what differs.</summary>
    public string? Run(byte[] code)
    {
        NativeState initial = *Host.State;
        Guest.Memory.CopyTo(_before);
        Host.Run(code);
        NativeState expected = *Host.State;
        Guest.Memory.CopyTo(_expected);
        _before.CopyTo(Guest.Memory);
        Guest.Load(&initial);
        int? fault = Guest.Run(code);
        NativeState actual;
        Guest.Store(&actual, &expected);
        actual.General[4] = expected.General[4];
        return fault is { } vector ? $"exception {vector}" : Differences(&initial, &expected, &actual);
    }

    public void Dispose()
    {
        Host.Dispose();
        Guest.Dispose();
    }

    private string? Differences(NativeState* initial, NativeState* expected, NativeState* actual)
    {
        StringBuilder text = new();
        for (int n = 0; n < 16; n++)
        {
            Append(text, $"ymm{n}", initial->Vectors + (n * 32), expected->Vectors + (n * 32), actual->Vectors + (n * 32), 32);
            Append(text, $"r{n}", (byte*)&initial->General[n], (byte*)&expected->General[n], (byte*)&actual->General[n], 8);
        }

        ulong flags = Flags.Status & ~(ulong)IgnoredFlags;
        if (((expected->Flags ^ actual->Flags) & flags) != 0)
        {
            text.Append($"flags {initial->Flags:x} -> {expected->Flags:x}, not {actual->Flags:x}; ");
        }

        Append(text, "mxcsr", (byte*)&initial->Mxcsr, (byte*)&expected->Mxcsr, (byte*)&actual->Mxcsr, 4);
        if (ComparesX87)
        {
            Append(text, "fcw", initial->X87, expected->X87, actual->X87, 2);
            Append(text, "fsw", initial->X87 + 2, expected->X87 + 2, actual->X87 + 2, 2);
            Append(text, "ftw", initial->X87 + 4, expected->X87 + 4, actual->X87 + 4, 1);
            for (int n = 0; n < 8; n++)
            {
                int at = 32 + (n * 16);
                Append(text, $"st{n}", initial->X87 + at, expected->X87 + at, actual->X87 + at, 10);
            }
        }

        bool same = Guest.Memory.SequenceEqual(_expected);
        for (int n = 0; n < _expected.Length && !same; n++)
        {
            if (_expected[n] != Guest.Memory[n] && !IgnoredMemory.Any(r => n - Offset >= r.Start && n - Offset < r.Start + r.Length))
            {
                text.Append($"memory+{n - Offset}: {_before[n]:x2} -> {_expected[n]:x2}, not {Guest.Memory[n]:x2}; ");
            }
        }

        return text.Length == 0 ? null : text.ToString();
    }

    private bool IsIgnored(int offset) => IgnoredMemory.Any(r => offset >= r.Start && offset < r.Start + r.Length);

    private static void Append(StringBuilder text, string name, byte* before, byte* expected, byte* actual, int length)
    {
        ReadOnlySpan<byte> a = new(expected, length);
        ReadOnlySpan<byte> b = new(actual, length);
        if (!a.SequenceEqual(b))
        {
            text.Append($"{name} {Convert.ToHexString(new ReadOnlySpan<byte>(before, length))} -> {Convert.ToHexString(a)}, not {Convert.ToHexString(b)}; ");
        }
    }
}
