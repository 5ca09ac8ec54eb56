using System.Diagnostics;

namespace Lamina.Verify.Privileged;

/// <summary>Takes away from a machine whatever it does not need to differ.</summary>
internal sealed class SystemShrinker(SystemComparer comparer)
{
    private const int Coarse = 256;
    private const int Fine = 8;

    // Of a program: what goes astray takes long to be found the same again.
    private static readonly TimeSpan MostTime = TimeSpan.FromSeconds(5);

    /// <summary>The smallest machine found that still differs.</summary>
    public MachineImage Shrink(MachineImage failing)
    {
        MachineImage best = new();
        best.CopyFrom(failing);
        MachineImage candidate = new();
        long began = Stopwatch.GetTimestamp();
        comparer.Run(best);
        bool isProgram = best[MachineRegister.Steps] != 0;
        bool mayStray = comparer.IsAstray || !isProgram;
        bool smaller = true;
        while (smaller)
        {
            smaller = false;
            comparer.Run(best);
            foreach (ExecutedInstruction e in comparer.Executed.Where(static e => e.IsInOnePage).ToArray())
            {
                smaller |= Try(m => Skip(m, e));
            }

            for (int at = 0; at < MachineImage.MemorySize; at += Coarse)
            {
                int from = at;
                smaller |= Try(m => Clear(m.Memory.AsSpan(from, Coarse)));
            }

            for (int n = 0; n < MachineImage.GeneralCount; n++)
            {
                int register = n;
                smaller |= Try(m => Clear(m.General.AsSpan(register, 1)));
            }

            for (MachineRegister n = MachineRegister.Dr0; n < MachineRegister.Count; n++)
            {
                MachineRegister register = n;
                smaller |= register is not (MachineRegister.Steps or MachineRegister.GdtBase or MachineRegister.IdtBase or MachineRegister.GdtLimit or MachineRegister.IdtLimit) && Try(m => Clear(m.Registers.AsSpan((int)register, 1)));
            }

            // Flags, and bits of control registers, one by one.
            foreach (MachineRegister register in (ReadOnlySpan<MachineRegister>)[MachineRegister.Flags, MachineRegister.Cr0, MachineRegister.Cr4, MachineRegister.Efer, MachineRegister.Cr2])
            {
                for (int bit = 0; bit < 64; bit++)
                {
                    ulong mask = 1UL << bit;
                    MachineRegister changed = register;

                    // Its mode stays.
                    ulong kept = register switch { MachineRegister.Flags => 0x2_0002UL, MachineRegister.Cr0 => 0x8000_0011, MachineRegister.Cr4 => 0x20, MachineRegister.Efer => 0x500, _ => 0 };
                    smaller |= (mask & kept) == 0 && Try(m => (m[changed] & mask) != 0 && (m[changed] ^= mask) >= 0);
                }
            }

            foreach (int n in (ReadOnlySpan<int>)[MachineImage.Es, MachineImage.Ds, MachineImage.Fs, MachineImage.Gs, MachineImage.LocalTable])
            {
                int segment = n;
                SegmentImage none = new(0, 0, 0, SegmentImage.Unusable);
                smaller |= Try(m => m.Segments[segment] != none && (m.Segments[segment] = none) == none);
            }
        }

        for (int at = 0; at < MachineImage.MemorySize; at += Fine)
        {
            int from = at;
            Try(m => Clear(m.Memory.AsSpan(from, Fine)));
        }

        return best;

        bool Try(Func<MachineImage, bool> change)
        {
            if (isProgram && Stopwatch.GetElapsedTime(began) > MostTime)
            {
                return false;
            }

            candidate.CopyFrom(best);
            if (!change(candidate) || comparer.Run(candidate) == null || (comparer.IsAstray && !mayStray))
            {
                return false;
            }

            best.CopyFrom(candidate);
            return true;
        }
    }

    // A program does without an instruction.
    private static bool Skip(MachineImage machine, in ExecutedInstruction e)
    {
        const byte nop = 0x90;
        Span<byte> code = machine.Memory.AsSpan((int)e.Physical, e.Instruction.Length);
        bool changes = code.ContainsAnyExcept(nop);
        code.Fill(nop);
        return changes;
    }

    private static bool Clear<T>(Span<T> values)
        where T : struct, IEquatable<T>
    {
        bool changes = values.ContainsAnyExcept(default(T));
        values.Clear();
        return changes;
    }
}
