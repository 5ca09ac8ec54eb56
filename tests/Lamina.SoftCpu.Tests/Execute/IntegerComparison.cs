using System.Text;
using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu.Tests.Execute;

/// <summary>Runs an instruction on the software processor and on the host, from the same state, and compares registers, flags and memory.</summary>
internal sealed unsafe class IntegerComparison(int codeSize) : IDisposable
{
    private const ulong ComparedFlags = 0x20_7ed7;
    private readonly IntegerMachine _guest = new(codeSize);
    private readonly NativeIntegers _native = new(codeSize);
    private readonly byte[] _before = new byte[IntegerMachine.BufferSize];
    private readonly byte[] _after = new byte[IntegerMachine.BufferSize];

    public IntegerMachine Guest => _guest;

    public ulong Slot => _native.Slot;

    public void Dispose()
    {
        _guest.Dispose();
        _native.Dispose();
    }

    /// <summary>Compares.</summary>
    /// <param name="code">The instruction.</param>
    /// <param name="state">Registers and flags before.</param>
    /// <param name="undefined">Flags that may differ.</param>
    /// <param name="seed">For the message.</param>
    /// <param name="freeRegister">A register that may differ, or -1.</param>
    public void Check(byte[] code, in IntegerState state, ulong undefined, string seed, int freeRegister = -1)
    {
        _guest.Buffer.CopyTo(_before);
        IntegerState guest = state;
        int? vector = _guest.Run(code, _native.Slot, &guest);
        _guest.Buffer.CopyTo(_after);
        _before.CopyTo(_guest.Buffer);
        if (vector != null)
        {
            Assert.Fail($"{seed}: {Convert.ToHexString(code)} raised {vector}, CR2 {_guest.Context->Cr2:x}, buffer at {_guest.BufferAddress:x}");
        }

        *_native.State = state;
        _native.Run(code);
        IntegerState host = *_native.State;
        StringBuilder difference = new();
        for (int n = 0; n < 2 * codeSize; n++)
        {
            if (host.General[n] != guest.General[n] && n != freeRegister)
            {
                difference.Append($" register {n}: {guest.General[n]:x}, expected {host.General[n]:x};");
            }
        }

        ulong mask = ComparedFlags & ~undefined;
        if (((host.Flags ^ guest.Flags) & mask) != 0)
        {
            difference.Append($" flags {guest.Flags & mask:x}, expected {host.Flags & mask:x};");
        }

        int at = _guest.Buffer.CommonPrefixLength(_after);
        if (at != IntegerMachine.BufferSize)
        {
            difference.Append($" memory at {at:x}: {_after[at]:x2}, expected {_guest.Buffer[at]:x2};");
        }

        if (difference.Length != 0)
        {
            Assert.Fail($"{seed}: {Convert.ToHexString(code)}{difference} before: {Describe(state)}");
        }
    }

    /// <summary>The instruction must raise #DE and change nothing.</summary>
    public void CheckDivideError(byte[] code, in IntegerState state, string seed)
    {
        _guest.Buffer.CopyTo(_before);
        IntegerState guest = state;
        int? vector = _guest.Run(code, _native.Slot, &guest);
        bool same = vector == Fault.DivideErrorVector && _guest.Buffer.SequenceEqual(_before);
        for (int n = 0; n < 16; n++)
        {
            same &= guest.General[n] == state.General[n];
        }

        if (!same)
        {
            Assert.Fail($"{seed}: {Convert.ToHexString(code)} should raise a divide error and change nothing; vector {vector}; before: {Describe(state)}");
        }
    }

    private static string Describe(in IntegerState state)
    {
        StringBuilder text = new();
        for (int n = 0; n < 16; n++)
        {
            text.Append($"{state.General[n]:x} ");
        }

        return text.Append($"flags {state.Flags:x}").ToString();
    }
}
