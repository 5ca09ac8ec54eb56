using Iced.Intel;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Fpu;
using Lamina.SoftCpu.Translate;
using Decoder = Lamina.SoftCpu.Decode.Decoder;
using GuestInstruction = Lamina.SoftCpu.Decode.Instruction;
using Instruction = Iced.Intel.Instruction;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>What the translator takes for the registers that an instruction leaves alone, against Iced.</summary>
public sealed unsafe class RegisterEffectsTests
{
    private static readonly byte[][] Prefixes = [[], [0x66], [0x67], [0xf2], [0xf3], [0xf0], [0x40], [0x41], [0x44], [0x48], [0x4d], [0x66, 0x48], [0xf3, 0x4c], [0xf2, 0x49]];

    private readonly InstructionInfoFactory _info = new();
    private readonly Random _random = new(1);
    private int _compared;
    private int _kept;
    private int _steps;

    [Fact]
    public void NoInstructionChangesARegisterThatItIsSaidToLeaveAlone()
    {
        byte[][] maps = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];
        byte[] bytes = new byte[40];
        foreach (byte[] prefix in Prefixes)
        {
            foreach (byte[] map in maps)
            {
                for (int op = 0; op < 256; op++)
                {
                    for (int modRm = 0; modRm < 256; modRm += map.Length < 2 ? 1 : 5)
                    {
                        _random.NextBytes(bytes);
                        byte[] start = [.. prefix, .. map, (byte)op, (byte)modRm];
                        start.CopyTo(bytes, 0);
                        Compare(bytes);
                    }
                }
            }
        }

        Assert.True(_compared > 100_000 && _kept > 8 * _compared && _steps > 500, $"{_compared} instructions, {_kept} registers left alone, {_steps} steps");
    }

    [Fact]
    public void NoVexInstructionDoesEither()
    {
        byte[] bytes = new byte[40];
        for (int map = 1; map < 4; map++)
        {
            for (int op = 0; op < 256; op++)
            {
                for (int n = 0; n < 64; n++)
                {
                    _random.NextBytes(bytes);
                    bytes[0] = 0xc4;
                    bytes[1] = (byte)((_random.Next(8) << 5) | map);
                    bytes[3] = (byte)op;
                    Compare(bytes);
                }
            }
        }

        Assert.True(_compared > 1000, $"{_compared} instructions");
    }

    private void Compare(byte[] bytes)
    {
        GuestInstruction i;
        fixed (byte* p = bytes)
        {
            if (Decoder.Decode(p, bytes.Length, 8, out i) != DecodeStatus.Done || (i.Flags & InstructionFlags.Undefined) != 0)
            {
                return;
            }
        }

        Iced.Intel.Decoder decoder = Iced.Intel.Decoder.Create(64, new ByteArrayCodeReader(bytes));
        decoder.Decode(out Instruction other);
        if (other.IsInvalid || other.Length != i.Length || other.Mnemonic is Mnemonic.Rdsspd or Mnemonic.Rdsspq or Mnemonic.Xbegin)
        {
            // What reads a shadow stack is a NOP here, and what begins a transaction undefined.
            return;
        }

        int really = 0;
        foreach (UsedRegister used in _info.GetInfo(other).GetUsedRegisters())
        {
            Register full = used.Register.GetFullRegister();
            if (used.Access is not (OpAccess.Read or OpAccess.CondRead or OpAccess.None or OpAccess.NoMemAccess) && full is >= Register.RAX and <= Register.R15)
            {
                really |= 1 << (full - Register.RAX);
            }
        }

        VectorRow? row = i.Map == 0 ? null : VectorBinder.FindRow(&i, (ProcessorFeatures)~0U);
        int written = RegisterEffects.Written(&i, row);
        Assert.True((really & ~written) == 0, $"{other} changes {really:x}, not {written:x}");
        if (RegisterEffects.IsStep(&i, out int register, out _))
        {
            Assert.True(really == 1 << register, $"{other} changes {really:x}, not only register {register}");
            _steps++;
        }

        _compared++;
        _kept += 16 - int.PopCount(written);
    }
}
