using Lamina.SoftCpu.Blocks;
using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu.Translate;

/// <summary>
/// Chooses the blocks of an optimized translation: behind the block that has run often, those that follow it as a rule, as far as they lie in its page and do not leave it. What follows is known from how
/// often the compact translations have run.
/// </summary>
internal static unsafe class Trace
{
    /// <summary>Blocks of a translation at most.</summary>
    public const int MaximumParts = 6;

    // What follows in less than this part of the times is not worth its place.
    private const int LeastShare = 2;

    /// <summary>Fills in the parts of a translation; the first is there.</summary>
    /// <param name="blocks">Where blocks are found.</param>
    /// <param name="heat">See <see cref="ProcessorContext.Heat"/>.</param>
    /// <param name="threshold">See <see cref="TranslatorOptions.HotThreshold"/>.</param>
    /// <param name="parts">The parts.</param>
    /// <returns>How many there are.</returns>
    public static int Extend(BlockCache blocks, int* heat, int threshold, ref TranslationParts parts)
    {
        int count = 1;
        if (parts[0].Block->Crosses)
        {
            // Whether its second page follows is found out at the entry only.
            return count;
        }

        int instructions = parts[0].Block->Count;
        while (count < MaximumParts)
        {
            ref TranslationPart last = ref parts[count - 1];
            if (!last.Block->SetsRip)
            {
                break;
            }

            Instruction* jump = last.Last;
            ulong target = last.End + (ulong)jump->Immediate;
            TranslationPart next;
            int runs;
            if (IsJump(jump))
            {
                runs = Find(blocks, heat, threshold, parts[..count], target, out next);
            }
            else if (IsConditional(jump) && target != parts[0].Rip)
            {
                runs = Find(blocks, heat, threshold, parts[..count], last.End, out next);
                int taken = Find(blocks, heat, threshold, parts[..count], target, out TranslationPart other);
                if (taken > runs)
                {
                    (runs, next) = (taken, other);
                }
            }
            else
            {
                break;
            }

            if (runs == 0 || runs < threshold / LeastShare || instructions + next.Block->Count > BlockCache.MaximumInstructions)
            {
                break;
            }

            next.First = instructions;
            instructions += next.Block->Count;
            parts[count++] = next;
        }

        return count;
    }

    /// <summary>Whether an instruction is a conditional jump to a known target.</summary>
    public static bool IsConditional(Instruction* i) => i->Opcode is (>= 0x70 and <= 0x7f) or (>= 0x180 and <= 0x18f);

    /// <summary>Whether it is a jump to a known target.</summary>
    public static bool IsJump(Instruction* i) => i->Opcode is 0xe9 or 0xeb;

    // How often what is at an address has run, up to the threshold; 0: it cannot be a part.
    private static int Find(BlockCache blocks, int* heat, int threshold, ReadOnlySpan<TranslationPart> parts, ulong rip, out TranslationPart part)
    {
        part = default;
        TranslationPart first = parts[0];
        if (((rip ^ first.Rip) & ~0xfffUL) != 0)
        {
            return 0;
        }

        Block* block = blocks.Find((first.Block->Physical & ~0xfffUL) | (rip & 0xfff), first.Block->Mode);
        Translation* t = block == null ? null : CodeCache.Find(block, rip, first.Plain->IsShared);
        Translation* plain = t == null || t->IsCompact ? t : t->Plain;
        if (plain == null || (plain->UsesVectors && !first.Plain->UsesVectors) || (plain->UsesX87 && !first.Plain->UsesX87))
        {
            return 0;
        }

        foreach (TranslationPart earlier in parts)
        {
            if (earlier.Block == block)
            {
                return 0;
            }
        }

        part = new TranslationPart { Block = block, Rip = rip, Plain = plain };
        return t == plain ? Math.Max(threshold - heat[ContextLayout.HeatIndex(plain)], 1) : Math.Max(threshold, 1);
    }
}
