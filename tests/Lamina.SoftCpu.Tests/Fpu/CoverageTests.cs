using System.Text;
using Iced.Intel;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Fpu;
using IcedDecoder = Iced.Intel.Decoder;
using IcedInstruction = Iced.Intel.Instruction;
using Instruction = Lamina.SoftCpu.Decode.Instruction;

namespace Lamina.SoftCpu.Tests.Fpu;

/// <summary>Every encoding of the 0F maps, VEX and x87: bound exactly where a second decoder knows an instruction of the extensions that we offer.</summary>
public sealed unsafe class CoverageTests
{
    private static readonly HashSet<CpuidFeature> Offered =
    [
        CpuidFeature.FPU, CpuidFeature.FPU287, CpuidFeature.FPU387, CpuidFeature.MMX, CpuidFeature.FXSR, CpuidFeature.SSE, CpuidFeature.SSE2, CpuidFeature.SSE3,
        CpuidFeature.SSSE3, CpuidFeature.SSE4_1, CpuidFeature.SSE4_2, CpuidFeature.AES, CpuidFeature.PCLMULQDQ, CpuidFeature.SHA, CpuidFeature.AVX,
        CpuidFeature.AVX2, CpuidFeature.FMA, CpuidFeature.F16C, CpuidFeature.BMI1, CpuidFeature.BMI2, CpuidFeature.ADX, CpuidFeature.POPCNT,
        CpuidFeature.LZCNT, CpuidFeature.MOVBE, CpuidFeature.XSAVE, CpuidFeature.XSAVEOPT, CpuidFeature.XSAVEC, CpuidFeature.CMOV,
    ];

    // Instructions of these extensions that the integer interpreter executes.
    private static readonly HashSet<Mnemonic> Elsewhere =
    [
        Mnemonic.Sfence, Mnemonic.Lfence, Mnemonic.Mfence, Mnemonic.Pause, Mnemonic.Prefetchnta, Mnemonic.Prefetcht0, Mnemonic.Prefetcht1,
        Mnemonic.Prefetcht2, Mnemonic.Monitor, Mnemonic.Mwait,
    ];

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void BoundExactlyWhereDefined(bool vex, bool wide)
    {
        using GuestMachine guest = new();
        StringBuilder wrong = new();
        int count = 0;
        byte[] code = new byte[16];
        for (int n = 0; n < 3 * 256 * 4 * 2 * 16; n++)
        {
            int form = n & 15;
            bool w = (n & 16) != 0;
            int prefix = (n >> 5) & 3;
            byte opcode = (byte)(n >> 7);
            int map = (n >> 15) + 1;
            byte modRm = (byte)(form < 8 ? (form << 3) | 3 : 0xc1 | ((form & 7) << 3));

            // Gathers need a SIB byte.
            bool sib = map == 2 && opcode is >= 0x90 and <= 0x93 && vex;
            if (sib)
            {
                modRm = (byte)((modRm & ~7) | 4);
            }

            int length = 0;
            if (vex)
            {
                // vvvv names register 0, which is also "none"; for gathers the mask must differ.
                code[length++] = 0xc4;
                code[length++] = (byte)(0xe0 | map);
                code[length++] = (byte)((w ? 0x80 : 0) | ((sib ? 10 : 15) << 3) | (wide ? 4 : 0) | prefix);
            }
            else
            {
                if (prefix != 0)
                {
                    code[length++] = (byte)(prefix == 1 ? 0x66 : prefix == 2 ? 0xf3 : 0xf2);
                }

                if (w)
                {
                    code[length++] = 0x48;
                }

                code[length++] = 0x0f;
                if (map != 1)
                {
                    code[length++] = (byte)(map == 2 ? 0x38 : 0x3a);
                }
            }

            code[length++] = opcode;
            code[length++] = modRm;
            if (sib)
            {
                code[length++] = 0x33;
            }

            code.AsSpan(length).Clear();
            count += Check(guest, code, wrong) ? 1 : 0;
        }

        Assert.True(wrong.Length == 0, wrong.ToString());
        Assert.InRange(count, 500, 50_000);
    }

    [Fact]
    public void X87BoundExactlyWhereDefined()
    {
        using GuestMachine guest = new();
        StringBuilder wrong = new();
        byte[] code = new byte[16];
        for (int n = 0; n < 8 * 256; n++)
        {
            code[0] = (byte)(0xd8 | (n >> 8));
            code[1] = (byte)n;
            code.AsSpan(2).Clear();
            _ = Check(guest, code, wrong);
        }

        Assert.True(wrong.Length == 0, wrong.ToString());
    }

    private static bool Check(GuestMachine guest, byte[] code, StringBuilder wrong)
    {
        IcedDecoder decoder = IcedDecoder.Create(64, code);
        decoder.Decode(out IcedInstruction theirs);
        bool expected = !theirs.IsInvalid && theirs.Code.CpuidFeatures().All(Offered.Contains) && !Elsewhere.Contains(theirs.Mnemonic)
            && !theirs.Mnemonic.ToString().StartsWith("Cmov", StringComparison.Ordinal);
        Instruction ours;
        fixed (byte* p = code)
        {
            if (SoftCpu.Decode.Decoder.Decode(p, code.Length, 8, out ours) != DecodeStatus.Done)
            {
                if (expected)
                {
                    wrong.AppendLine($"{Convert.ToHexString(code.AsSpan(0, 8))} does not decode: {theirs.Code}");
                }

                return false;
            }
        }

        bool bound = VectorBinder.TryBind(&ours, GuestMachine.AllFeatures, guest.Stubs, 8);
        if (bound != expected)
        {
            wrong.AppendLine($"{Convert.ToHexString(code.AsSpan(0, 8))} {(bound ? "bound" : "not bound")}: {theirs.Code}");
            return bound;
        }

        if (bound && ours.Length != theirs.Length)
        {
            wrong.AppendLine($"{Convert.ToHexString(code.AsSpan(0, 8))} length {ours.Length}: {theirs.Code} {theirs.Length}");
        }

        if (bound && ours.IsMemory && ours.Data > 0xffff && ours.Map != 0)
        {
            int size = VectorOperands.Of(&ours)->Size;
            if (size != theirs.MemorySize.GetSize())
            {
                wrong.AppendLine($"{Convert.ToHexString(code.AsSpan(0, 8))} size {size}: {theirs.Code} {theirs.MemorySize}");
            }
        }

        return bound;
    }
}
