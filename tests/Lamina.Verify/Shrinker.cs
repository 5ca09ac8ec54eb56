using Lamina.SoftCpu.Tests.Fpu;
using Lamina.Verify.Legacy;

namespace Lamina.Verify;

/// <summary>Takes away from a case whatever it does not need to differ.</summary>
internal sealed unsafe class Shrinker(Comparer comparer, ICaseSource generator)
{
    /// <summary>The smallest case found that still differs.</summary>
    public TestCase Shrink(TestCase failing)
    {
        TestCase best = failing.Copy();
        for (int n = 0; n < best.Lengths.Count && best.Lengths.Count > 1; n++)
        {
            int dropped = n;
            n -= Try(ref best, c => Drop(c, dropped)) ? 1 : 0;
        }

        bool smaller = true;
        while (smaller)
        {
            smaller = false;
            for (int n = 0; n < 16; n++)
            {
                int register = n;
                smaller |= Try(ref best, c => Clear(ref c.State.General[register]));
            }

            for (int n = 0; n < 64; n++)
            {
                int word = n * 8;
                smaller |= Try(ref best, c =>
                {
                    fixed (NativeState* s = &c.State)
                    {
                        return Clear(ref *(ulong*)(s->Vectors + word));
                    }
                });
            }

            smaller |= Try(ref best, static c => Set(ref c.State.Flags, 2UL));
            smaller |= Try(ref best, static c => Set(ref c.State.Mxcsr, 0x1f80u));
            smaller |= Try(ref best, ResetX87);
            for (int n = 0; n < SegmentValues.Count; n++)
            {
                int segment = n;
                smaller |= Try(ref best, c => Flatten(c, segment));
            }

            for (int at = 0; at < Arena.DataSize; at += 512)
            {
                int from = at;
                smaller |= Try(ref best, c => ClearMemory(c, from, 512));
            }

            for (int n = 0; n < best.Length && best.Length > 1 && !best.IsSequence; n++)
            {
                int byteAt = n;
                smaller |= Try(ref best, c => Remove(c, byteAt));
            }
        }

        for (int at = 0; at < Arena.DataSize; at += 8)
        {
            int from = at;
            Try(ref best, c => ClearMemory(c, from, 8));
        }

        return best;
    }

    private bool Try(ref TestCase best, Func<TestCase, bool> change)
    {
        TestCase candidate = best.Copy();
        if (!change(candidate))
        {
            return false;
        }

        if (candidate.IsSequence)
        {
            if (!candidate.IsBounded || comparer.Run(candidate, generator.Decode(candidate.Split()[^1])) == null)
            {
                return false;
            }

            best = candidate;
            return true;
        }

        Iced.Intel.Instruction i = generator.Decode(candidate.Instruction);
        if (i.IsInvalid || i.Length != candidate.Length || !InstructionList.IsCompared(i) || i.FlowControl != Iced.Intel.FlowControl.Next || comparer.Run(candidate, i) == null)
        {
            return false;
        }

        best = candidate;
        return true;
    }

    private bool Drop(TestCase test, int instruction)
    {
        SequenceLayout layout = SequenceLayout.Parse(test, generator);
        layout.Remove(instruction);
        return layout.TryWrite(test) && new SequenceFlow().Look(test, generator);
    }

    private static bool Clear(ref ulong value) => Set(ref value, 0UL);

    private static bool Set<T>(ref T value, T other)
        where T : IEquatable<T>
    {
        bool changes = !value.Equals(other);
        value = other;
        return changes;
    }

    private static bool ResetX87(TestCase test)
    {
        fixed (NativeState* s = &test.State)
        {
            Span<byte> x87 = new(s->X87, 160);
            if (x87[2..].IndexOfAnyExcept((byte)0) < 0 && *(ushort*)s->X87 == 0x37f)
            {
                return false;
            }

            x87.Clear();
            *(ushort*)s->X87 = 0x37f;
            *(uint*)(s->X87 + 24) = 0;
            return true;
        }
    }

    // Data segments of 16- and 32-bit code that need no limit.
    private static bool Flatten(TestCase test, int segment)
    {
        SegmentValue flat = SegmentValue.Flat with { Selector = DescriptorList.Own(segment) };
        if (test.Bits == 64 || segment == SegmentValues.Cs || test.Segments[segment] == flat)
        {
            return false;
        }

        test.Segments[segment] = flat;
        return true;
    }

    private static bool ClearMemory(TestCase test, int from, int length)
    {
        Span<byte> bytes = test.Memory.AsSpan(from, length);
        bool changes = bytes.IndexOfAnyExcept((byte)0) >= 0;
        bytes.Clear();
        return changes;
    }

    private static bool Remove(TestCase test, int at)
    {
        test.Code.AsSpan(at + 1).CopyTo(test.Code.AsSpan(at));
        test.Code[^1] = 0;
        test.Length--;
        return true;
    }
}
