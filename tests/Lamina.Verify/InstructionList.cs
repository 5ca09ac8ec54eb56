using System.Runtime.Intrinsics.X86;
using Iced.Intel;
using Lamina.SoftCpu;
using Lamina.SoftCpu.Fpu;

namespace Lamina.Verify;

/// <summary>
/// The instructions that are compared: all that a second decoder (Iced) knows in 64-bit mode, of the extensions that the CPU model offers and this host has, found by trying all encodings, less
/// those in <see cref="Excluded"/>.
/// </summary>
internal static class InstructionList
{
    private static readonly Dictionary<CpuidFeature, ProcessorFeatures> Extensions = new()
    {
        [CpuidFeature.MMX] = ProcessorFeatures.Mmx,
        [CpuidFeature.SSE] = ProcessorFeatures.Sse,
        [CpuidFeature.SSE2] = ProcessorFeatures.Sse2,
        [CpuidFeature.SSE3] = ProcessorFeatures.Sse3,
        [CpuidFeature.SSSE3] = ProcessorFeatures.Ssse3,
        [CpuidFeature.SSE4_1] = ProcessorFeatures.Sse41,
        [CpuidFeature.SSE4_2] = ProcessorFeatures.Sse42,
        [CpuidFeature.AES] = ProcessorFeatures.Aes,
        [CpuidFeature.PCLMULQDQ] = ProcessorFeatures.Pclmulqdq,
        [CpuidFeature.SHA] = ProcessorFeatures.Sha,
        [CpuidFeature.AVX] = ProcessorFeatures.Avx,
        [CpuidFeature.AVX2] = ProcessorFeatures.Avx2,
        [CpuidFeature.FMA] = ProcessorFeatures.Fma,
        [CpuidFeature.F16C] = ProcessorFeatures.F16C,
        [CpuidFeature.BMI1] = ProcessorFeatures.Bmi1,
        [CpuidFeature.BMI2] = ProcessorFeatures.Bmi2,
        [CpuidFeature.ADX] = ProcessorFeatures.Adx,
        [CpuidFeature.POPCNT] = ProcessorFeatures.Popcnt,
        [CpuidFeature.LZCNT] = ProcessorFeatures.Lzcnt,
        [CpuidFeature.MOVBE] = ProcessorFeatures.Movbe,
        [CpuidFeature.FXSR] = ProcessorFeatures.Fxsr,
        [CpuidFeature.XSAVE] = ProcessorFeatures.Avx,
    };

    private static readonly HashSet<CpuidFeature> Everywhere =
    [
        CpuidFeature.INTEL8086, CpuidFeature.INTEL186, CpuidFeature.INTEL286, CpuidFeature.INTEL386, CpuidFeature.INTEL486, CpuidFeature.X64, CpuidFeature.FPU,
        CpuidFeature.FPU287, CpuidFeature.FPU387, CpuidFeature.CMOV, CpuidFeature.CX8, CpuidFeature.CMPXCHG16B, CpuidFeature.MULTIBYTENOP, CpuidFeature.PAUSE, CpuidFeature.CLFSH,
        CpuidFeature.PREFETCHW,
    ];

    // What would leave the process, depends on where and when it is executed, or leaves addresses of its own behind. Unit tests have these.
    private static readonly HashSet<Mnemonic> Excluded =
    [
        Mnemonic.Syscall, Mnemonic.Sysenter, Mnemonic.Sysexit, Mnemonic.Sysret, Mnemonic.Int, Mnemonic.Int1, Mnemonic.Int3, Mnemonic.Iret, Mnemonic.Iretd, Mnemonic.Iretq,
        Mnemonic.Retf, Mnemonic.Lss, Mnemonic.Lfs, Mnemonic.Lgs, Mnemonic.Lar, Mnemonic.Lsl, Mnemonic.Verr, Mnemonic.Verw, Mnemonic.Sgdt, Mnemonic.Sidt, Mnemonic.Sldt, Mnemonic.Str,
        Mnemonic.Smsw, Mnemonic.Rdtsc, Mnemonic.Rdtscp, Mnemonic.Rdpmc, Mnemonic.Cpuid, Mnemonic.Xgetbv, Mnemonic.Rdfsbase, Mnemonic.Rdgsbase, Mnemonic.Wrfsbase, Mnemonic.Wrgsbase,
        Mnemonic.Monitor, Mnemonic.Mwait, Mnemonic.Fnstenv, Mnemonic.Fldenv, Mnemonic.Fnsave, Mnemonic.Frstor, Mnemonic.Fstenv, Mnemonic.Fsave,
        Mnemonic.Fxsave, Mnemonic.Fxsave64, Mnemonic.Fxrstor, Mnemonic.Fxrstor64, Mnemonic.Xsave, Mnemonic.Xsaveopt, Mnemonic.Xsavec, Mnemonic.Xrstor, Mnemonic.Emms, Mnemonic.Popf, Mnemonic.Popfd, Mnemonic.Popfq,
        Mnemonic.In, Mnemonic.Out, Mnemonic.Insb, Mnemonic.Insw, Mnemonic.Insd, Mnemonic.Outsb, Mnemonic.Outsw, Mnemonic.Outsd, Mnemonic.Bound, Mnemonic.Clflush,
    ];

    // Of these, what is compared in 64-bit code alone, where the host knows all of it.
    private static readonly HashSet<Mnemonic> OnlyIn64Bits =
    [
        Mnemonic.Int, Mnemonic.Int1, Mnemonic.Int3, Mnemonic.Lss, Mnemonic.Lfs, Mnemonic.Lgs, Mnemonic.Lar, Mnemonic.Lsl, Mnemonic.Verr, Mnemonic.Verw, Mnemonic.Fnstenv, Mnemonic.Fldenv,
        Mnemonic.Fnsave, Mnemonic.Frstor, Mnemonic.Fxsave, Mnemonic.Fxsave64, Mnemonic.Fxrstor, Mnemonic.Fxrstor64, Mnemonic.Xsave, Mnemonic.Xsave64, Mnemonic.Xsaveopt, Mnemonic.Xsaveopt64,
        Mnemonic.Xsavec, Mnemonic.Xsavec64, Mnemonic.Xrstor, Mnemonic.Xrstor64, Mnemonic.Popf, Mnemonic.Popfq, Mnemonic.In, Mnemonic.Out, Mnemonic.Insb, Mnemonic.Insw, Mnemonic.Insd,
        Mnemonic.Outsb, Mnemonic.Outsw, Mnemonic.Outsd, Mnemonic.Hlt, Mnemonic.Cli, Mnemonic.Sti, Mnemonic.Rdmsr, Mnemonic.Wrmsr, Mnemonic.Clts, Mnemonic.Invd, Mnemonic.Wbinvd, Mnemonic.Invlpg,
        Mnemonic.Lgdt, Mnemonic.Lidt, Mnemonic.Lldt, Mnemonic.Ltr, Mnemonic.Lmsw, Mnemonic.Xsetbv,
    ];

    // What only 16- and 32-bit code has, or is compared in it alone, with the manual's pseudo-code.
    private static readonly HashSet<Mnemonic> Modelled =
    [
        Mnemonic.Bound, Mnemonic.Int, Mnemonic.Int1, Mnemonic.Int3, Mnemonic.Lds, Mnemonic.Les, Mnemonic.Lss, Mnemonic.Lfs, Mnemonic.Lgs, Mnemonic.Popf, Mnemonic.Popfd,
    ];

    /// <summary>Finds them all, by instruction.</summary>
    /// <param name="bits">Default size of the code segment: 16, 32 or 64.</param>
    public static List<List<Template>> Find(int bits = 64)
    {
        Dictionary<Code, List<Template>> found = [];
        byte[] code = new byte[16];
        foreach (bool vex in (ReadOnlySpan<bool>)[false, true])
        {
            for (int map = vex ? 1 : 0; map < 4; map++)
            {
                for (int n = 0; n < 256 * 4 * 4; n++)
                {
                    byte prefix = (n & 3) switch { 0 => 0, 1 => 0x66, 2 => 0xf3, _ => 0xf2 };
                    bool w = (n & 4) != 0;
                    bool longer = (n & 8) != 0;
                    if ((vex || !longer) && (vex || !w || bits == 64))
                    {
                        Try(found, code, bits, vex, map, prefix, w, longer, (byte)(n >> 4));
                    }
                }
            }
        }

        return [.. found.OrderBy(static f => f.Key).Select(static f => f.Value)];
    }

    // By code: unknown, compared, not compared. Moves of segment and system registers have codes of their own, so one of each will do.
    private static readonly sbyte[] Known = new sbyte[(int)Enum.GetValues<Code>().Max() + 1];
    private static readonly sbyte[] KnownElsewhere = new sbyte[Known.Length];

    /// <summary>Whether an instruction is compared.</summary>
    public static bool IsCompared(in Instruction i)
    {
        ref sbyte known = ref (i.CodeSize == CodeSize.Code64 ? Known : KnownElsewhere)[(int)i.Code];
        if (known == 0)
        {
            known = (sbyte)(Decide(i) ? 1 : -1);
        }

        return known > 0;
    }

    private static bool Decide(in Instruction i)
    {
        bool segments = i.CodeSize != CodeSize.Code64;
        bool own = i.Mnemonic is not Mnemonic.Mov || !(IsSystem(i.Op0Register) || IsSystem(i.Op1Register));
        if (segments && Modelled.Contains(i.Mnemonic))
        {
            return true;
        }

        if (i.IsInvalid || !own)
        {
            return false;
        }

        // Offsets of 64 bits in far pointers are not what processors of every maker have (AMD APM volume 3, LSS).
        string name = i.Code.ToString();
        bool far = i.Op0Kind is OpKind.FarBranch16 or OpKind.FarBranch32 || name.Contains("_m1616", StringComparison.Ordinal) || name.Contains("_m1632", StringComparison.Ordinal);
        bool listed = !segments && OnlyIn64Bits.Contains(i.Mnemonic);
        if (!listed && (i.IsPrivileged || Excluded.Contains(i.Mnemonic) || far) || name.Contains("_m1664", StringComparison.Ordinal))
        {
            return false;
        }

        foreach (CpuidFeature feature in i.Code.CpuidFeatures())
        {
            if (!Everywhere.Contains(feature) && !HasStateComponents(feature) && !(Extensions.TryGetValue(feature, out ProcessorFeatures extension) && (HostFeatures.All & extension) == extension))
            {
                return false;
            }
        }

        return true;
    }

    // XSAVEOPT and XSAVEC (CPUID leaf 0DH).
    private static bool HasStateComponents(CpuidFeature feature)
    {
        const int leaf = 0xd;
        int bit = feature switch { CpuidFeature.XSAVEOPT => 1, CpuidFeature.XSAVEC => 2, _ => 0 };
        return bit != 0 && (HostFeatures.All & ProcessorFeatures.Avx) != 0 && (X86Base.CpuId(leaf, 1).Eax & bit) != 0;
    }

    private static bool IsSystem(Register register) => register is (>= Register.CR0 and <= Register.CR15) or (>= Register.DR0 and <= Register.DR15) or (>= Register.TR0 and <= Register.TR7);

    private static void Try(Dictionary<Code, List<Template>> found, byte[] code, int bits, bool vex, int map, byte prefix, bool w, bool longer, byte opcode)
    {
        if (!vex && map == 0 && (opcode is 0x0f or 0x26 or 0x2e or 0x36 or 0x3e or (>= 0x64 and <= 0x67) or 0xf0 or 0xf2 or 0xf3
                || bits == 64 && opcode is (>= 0x40 and <= 0x4f) or 0x62 or 0xc4 or 0xc5))
        {
            return;
        }

        bool single = vex || map != 0;
        bool x87 = !single && opcode is >= 0xd8 and <= 0xdf;
        for (int form = 0; form < 16; form++)
        {
            bool memory = form < 8;
            for (int rm = 0; rm < (x87 && !memory ? 8 : 1); rm++)
            {
                Template template = new(Code.INVALID, vex, map, prefix, w, longer, opcode, form & 7, memory, x87 && !memory ? rm : -1);
                Encode(template, code, bits);
                Decoder decoder = Decoder.Create(bits, code);
                decoder.Decode(out Instruction i);
                if (IsCompared(i))
                {
                    if (!found.TryGetValue(i.Code, out List<Template>? templates))
                    {
                        found[i.Code] = templates = [];
                    }

                    templates.Add(template with { Code = i.Code });
                }
            }
        }
    }

    // With [RBX] or register 1, and zeroes behind.
    private static void Encode(in Template t, byte[] code, int bits)
    {
        Array.Clear(code);
        int length = 0;
        bool gather = t.IsGather;
        if (gather && bits == 16)
        {
            // A vector of indices needs a SIB byte.
            code[length++] = 0x67;
        }

        if (t.Vex)
        {
            int pp = t.Prefix switch { 0x66 => 1, 0xf3 => 2, 0xf2 => 3, _ => 0 };
            code[length++] = 0xc4;
            code[length++] = (byte)(0xe0 | t.Map);
            code[length++] = (byte)((t.W ? 0x80 : 0) | ((gather ? 10 : 15) << 3) | (t.Long ? 4 : 0) | pp);
        }
        else
        {
            if (t.Prefix != 0)
            {
                code[length++] = t.Prefix;
            }

            if (t.W)
            {
                code[length++] = 0x48;
            }

            if (t.Map > 0)
            {
                code[length++] = 0x0f;
            }

            if (t.Map > 1)
            {
                code[length++] = (byte)(t.Map == 2 ? 0x38 : 0x3a);
            }
        }

        code[length++] = t.Opcode;
        code[length++] = (byte)((t.Memory ? 0 : 0xc0) | (t.Digit << 3) | (gather ? 4 : t.Memory ? 3 : Math.Max(t.Rm, t.Rm < 0 ? 1 : 0)));
    }
}
