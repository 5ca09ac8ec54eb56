using System.Buffers.Binary;
using Iced.Intel;
using Lamina.SoftCpu.Tests.Fpu;

namespace Lamina.Verify;

/// <summary>Operands of what is more than arithmetic: flags, selectors, interrupts, and images of x87 and vector state.</summary>
internal sealed unsafe partial class CaseGenerator
{
    private const ulong TrapFlag = 0x100;
    private const int LegacyLength = 512;
    private const int StateAlignment = 64;

    /// <summary>Whether it loads a segment register.</summary>
    private static bool LoadsSegment(in Instruction i) =>
        i.Mnemonic is Mnemonic.Lss or Mnemonic.Lfs or Mnemonic.Lgs || i.Mnemonic is Mnemonic.Mov or Mnemonic.Pop && i.Op0Register is >= Register.ES and <= Register.GS;

    // Never with TF, whose trap the host would take behind the instruction.
    private static bool AimFlags(ref CaseRandom random, TestCase test, NativeState* s)
    {
        ulong offset = s->General[Rsp] - Arena.Data;
        if (s->General[Rsp] - Arena.ReadOnly + sizeof(ulong) < Arena.PageSize + (2 * sizeof(ulong)))
        {
            return false;
        }

        if (offset > Arena.DataSize - sizeof(ulong))
        {
            // What begins in front of the data, or ends behind it, faults.
            return true;
        }

        BinaryPrimitives.WriteUInt64LittleEndian(test.Memory.AsSpan((int)offset), random.Next() & ~TrapFlag);
        return true;
    }

    // Vector 80H is a system call of Linux; of those that the manual reserves (Intel SDM volume 3, table 6-1) hypervisors under it have some.
    private bool AimInterrupt(ref CaseRandom random, ref Instruction i)
    {
        const byte systemCall = 0x80;
        if (i.Op0Kind == OpKind.Immediate8)
        {
            const int reserved = 22;
            const int external = 32;
            byte vector = (byte)(random.OneIn(2) ? random.Next(reserved) : external + random.Next(256 - external));
            _buffer[_decoder.GetConstantOffsets(i).ImmediateOffset] = vector == systemCall ? (byte)3 : vector;
            i = Decode();
        }

        return true;
    }

    private static void AimSelector(ref CaseRandom random, TestCase test, NativeState* s, in Instruction i)
    {
        if (i.Mnemonic == Mnemonic.Pop)
        {
            PutSelector(ref random, test, s->General[Rsp]);
        }
        else if (i.OpCount > 1 && i.Op1Kind == OpKind.Register)
        {
            s->General[i.Op1Register.GetFullRegister() - Register.RAX] = (random.Next() & ~0xffffUL) | Selector(ref random);
        }
        else if (i.Op0Kind == OpKind.Register && i.OpCount == 1)
        {
            s->General[i.Op0Register.GetFullRegister() - Register.RAX] = (random.Next() & ~0xffffUL) | Selector(ref random);
        }
    }

    // The second entry of the host's table is another one than the guest's, and the sixteenth Linux has for the number of the processor (LSL).
    private static ushort Selector(ref CaseRandom random)
    {
        const int first = 2;
        const int own = 15;
        const int count = 18;
        int index = random.OneIn(6) ? 0 : first + random.Next(count - first);
        index = index == own ? count : index;
        return (ushort)((index << 3) | (random.OneIn(8) ? 4 : 0) | (random.OneIn(3) ? random.Next(4) : 3));
    }

    private static void PutSelector(ref CaseRandom random, TestCase test, ulong address)
    {
        if (address - Arena.Data <= Arena.DataSize - sizeof(ushort))
        {
            BinaryPrimitives.WriteUInt16LittleEndian(test.Memory.AsSpan((int)(address - Arena.Data)), Selector(ref random));
        }
    }

    // Bytes of an image of state in memory, or 0.
    public static int StateLength(in Instruction i)
    {
        const int extendedLength = 832;
        return i.Mnemonic switch
        {
            Mnemonic.Fxsave or Mnemonic.Fxsave64 or Mnemonic.Fxrstor or Mnemonic.Fxrstor64 => LegacyLength,
            Mnemonic.Xsave or Mnemonic.Xsave64 or Mnemonic.Xsaveopt or Mnemonic.Xsaveopt64 or Mnemonic.Xsavec or Mnemonic.Xsavec64 or Mnemonic.Xrstor or Mnemonic.Xrstor64 => extendedLength,
            _ => 0,
        };
    }

    private bool AimState(ref CaseRandom random, TestCase test, NativeState* s, ref Instruction i, int length)
    {
        const ulong components = 7;
        const int places = 16;
        bool extended = length > LegacyLength;
        ulong target = random.OneIn(8)
            ? Target(ref random, StateAlignment)
            : Arena.Data + (ulong)(random.Next((Arena.DataSize - length) / places) * places);
        target &= extended && !random.OneIn(16) ? ~(StateAlignment - 1UL) : ulong.MaxValue;
        s->General[0] = random.Next() & components;
        s->General[2] = 0;
        if (!AimMemory(ref random, s, ref i, target))
        {
            return false;
        }

        // Of more components than the model has the host might know some.
        if (extended && (((s->General[0] | (s->General[2] << 32)) & ~components) != 0 || (uint)s->General[2] != 0))
        {
            return false;
        }

        if (target - Arena.Data <= (ulong)(Arena.DataSize - length))
        {
            FillImage(ref random, test.Memory.AsSpan((int)(target - Arena.Data), length), extended);
            return true;
        }

        return !extended || target - Arena.ReadOnly > Arena.PageSize;
    }

    // What XRSTOR takes, and sometimes what it refuses.
    private static void FillImage(ref CaseRandom random, Span<byte> image, bool extended)
    {
        const int mxcsr = 24;
        const int header = 512;
        const int headerLength = 64;
        const ulong compact = 1UL << 63;
        const ulong unknown = 1UL << 62;
        if (!random.OneIn(16))
        {
            BinaryPrimitives.WriteUInt32LittleEndian(image[mxcsr..], (uint)random.Next() & 0xffff);
        }

        if (!extended)
        {
            return;
        }

        ulong format = random.Next() & 7;
        bool compacts = random.OneIn(3);
        ulong present = random.Next() & (compacts && !random.OneIn(8) ? format : 7) | (random.OneIn(32) ? unknown : 0);
        image.Slice(header, headerLength).Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(image[header..], present);
        BinaryPrimitives.WriteUInt64LittleEndian(image[(header + 8)..], compacts ? compact | format : random.OneIn(32) ? format : 0);
        if (random.OneIn(16))
        {
            image[header + 16 + random.Next(headerLength - 16)] = 1;
        }
    }
}
