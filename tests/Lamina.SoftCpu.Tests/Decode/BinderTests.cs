using Iced.Intel;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Fpu;
using Binder = Lamina.SoftCpu.Execute.Binder;
using Decoder = Lamina.SoftCpu.Decode.Decoder;
using GuestInstruction = Lamina.SoftCpu.Decode.Instruction;
using Instruction = Iced.Intel.Instruction;

namespace Lamina.SoftCpu.Tests.Decode;

/// <summary>What raises #UD, against Iced: invalid encodings and extensions that are not offered, and nothing else.</summary>
public sealed unsafe class BinderTests : IDisposable
{
    private static readonly HashSet<CpuidFeature> Offered =
    [
        CpuidFeature.INTEL8086, CpuidFeature.INTEL8086_ONLY, CpuidFeature.INTEL186, CpuidFeature.INTEL286, CpuidFeature.INTEL386, CpuidFeature.INTEL486, CpuidFeature.X64,
        CpuidFeature.ADX, CpuidFeature.AES, CpuidFeature.AVX, CpuidFeature.AVX2, CpuidFeature.BMI1, CpuidFeature.BMI2, CpuidFeature.CLFSH, CpuidFeature.CLFLUSHOPT,
        CpuidFeature.CLWB, CpuidFeature.CMOV, CpuidFeature.CMPXCHG16B, CpuidFeature.CPUID, CpuidFeature.CX8, CpuidFeature.F16C, CpuidFeature.FMA, CpuidFeature.FPU,
        CpuidFeature.FPU287, CpuidFeature.FPU387, CpuidFeature.FSGSBASE, CpuidFeature.FXSR, CpuidFeature.INVPCID, CpuidFeature.LZCNT, CpuidFeature.MMX,
        CpuidFeature.MOVBE, CpuidFeature.MSR, CpuidFeature.MULTIBYTENOP, CpuidFeature.PAUSE, CpuidFeature.PCLMULQDQ, CpuidFeature.POPCNT, CpuidFeature.PREFETCHW,
        CpuidFeature.RDPID, CpuidFeature.RDPMC, CpuidFeature.RDRAND, CpuidFeature.RDSEED, CpuidFeature.RDTSCP, CpuidFeature.SEP, CpuidFeature.SHA, CpuidFeature.SMAP,
        CpuidFeature.SSE, CpuidFeature.SSE2, CpuidFeature.SSE3, CpuidFeature.SSE4_1, CpuidFeature.SSE4_2, CpuidFeature.SSSE3, CpuidFeature.SYSCALL, CpuidFeature.TSC,
        CpuidFeature.XSAVE, CpuidFeature.XSAVEC, CpuidFeature.XSAVEOPT, CpuidFeature.SERIALIZE, CpuidFeature.PREFETCHWT1, CpuidFeature.MPX,
        CpuidFeature.CLDEMOTE, CpuidFeature.CET_IBT, CpuidFeature.PREFETCHITI,
    ];

    private readonly StubCache _stubs = new();

    public void Dispose() => _stubs.Dispose();

    [Theory]
    [InlineData(8)]
    [InlineData(4)]
    [InlineData(2)]
    public void UndefinedWhereIcedSaysSo(int codeSize)
    {
        byte[][] prefixes = [[], [0x66], [0xf2], [0xf3], [0xf0], .. codeSize == 8 ? new byte[][] { [0x48], [0x66, 0x48], [0xf3, 0x48] } : []];
        byte[][] maps = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];
        Random random = new(codeSize);
        SortedDictionary<string, string> differences = [];
        byte[] bytes = new byte[15];
        foreach (byte[] prefix in prefixes)
        {
            foreach (byte[] map in maps)
            {
                for (int op = 0; op < 256; op++)
                {
                    for (int sample = 0; sample < 16; sample++)
                    {
                        random.NextBytes(bytes);
                        prefix.CopyTo(bytes, 0);
                        map.CopyTo(bytes, prefix.Length);
                        int n = prefix.Length + map.Length;
                        bytes[n] = (byte)op;

                        // Each digit with memory and with a register.
                        bytes[n + 1] = (byte)(((sample & 7) << 3) | ((sample & 8) != 0 ? 0xc0 : random.Next(3) << 6) | random.Next(8));
                        Compare(bytes, codeSize, differences);
                    }
                }
            }
        }

        for (int n = 0; n < 20000; n++)
        {
            random.NextBytes(bytes);
            bytes[0] = 0xc4;
            bytes[1] = (byte)(0xe0 | random.Next(1, 4));
            bytes[2] = (byte)(random.Next(2) == 0 ? random.Next(256) : 0x78 | random.Next(8));
            Compare(bytes, codeSize, differences);
        }

        Assert.True(differences.Count == 0, $"{differences.Count} opcodes differ:\n{string.Join('\n', differences.Values.Take(60))}");
    }

    private void Compare(byte[] bytes, int codeSize, SortedDictionary<string, string> differences)
    {
        Iced.Intel.Decoder decoder = Iced.Intel.Decoder.Create(codeSize * 8, new ByteArrayCodeReader(bytes), DecoderOptions.NoWbnoinvd);
        decoder.Decode(out Instruction expected);
        bool invalid = expected.IsInvalid || expected.Mnemonic is Mnemonic.Ud0 or Mnemonic.Ud1 or Mnemonic.Ud2;
        foreach (CpuidFeature feature in expected.CpuidFeatures)
        {
            invalid |= !Offered.Contains(feature);
        }

        bool undefined;
        fixed (byte* p = bytes)
        {
            GuestInstruction i;
            undefined = Decoder.Decode(p, 15, codeSize, out i) != DecodeStatus.Done;
            if (!undefined)
            {
                // Hypercalls are no feature of a processor's.
                Binder.Bind(&i, (ProcessorFeatures)ulong.MaxValue & ~ProcessorFeatures.Hypercalls, _stubs, codeSize);
                undefined = (i.Flags & InstructionFlags.Undefined) != 0;
            }
        }

        if (undefined != invalid && !Intended(expected, bytes, codeSize))
        {
            string what = undefined ? "undefined" : "bound";
            string key = $"{what} {expected.Code} {(expected.IsInvalid ? Convert.ToHexString(bytes[..4]) : "")}";
            differences.TryAdd(key, $"{what}: {codeSize * 8}-bit {Convert.ToHexString(bytes)} {expected} ({expected.Code})");
        }
    }

    // VEX.vvvv bit 3 is ignored outside 64-bit code, also where vvvv must name no register. Shadow-stack reads lie in the reserved NOPs. 0F 0D on a
    // register is undefined on some processors and a NOP on others.
    private static bool Intended(in Instruction expected, byte[] bytes, int codeSize)
    {
        return (codeSize != 8 && bytes[0] == 0xc4 && (bytes[2] & 0x40) == 0)
            || expected.Mnemonic is Mnemonic.Rdsspd or Mnemonic.Rdsspq
            || expected.Code is Code.Reservednop_rm16_r16_0F0D or Code.Reservednop_rm32_r32_0F0D or Code.Reservednop_rm64_r64_0F0D;
    }
}
