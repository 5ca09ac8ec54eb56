namespace Lamina.SoftCpu.Fpu;

/// <summary>Control, status and tag words and last pointers in memory. FCS and FDS are stored as zero, as CPUID.7:EBX[13] announces.</summary>
internal static unsafe class X87Environment
{
    /// <summary>Bytes of a format.</summary>
    public static int Length(EnvironmentFormat format) => format is EnvironmentFormat.Protected32 or EnvironmentFormat.Real32 ? 28 : 14;

    /// <summary>Stores the environment, and answers its length.</summary>
    public static int Write(ProcessorContext* c, byte* buffer, EnvironmentFormat format)
    {
        uint instruction = (uint)X87Image.InstructionAddress(c);
        uint data = (uint)X87Image.DataAddress(c);
        uint opcode = X87Image.Opcode(c) & 0x7ffu;
        ushort tags = X87Image.FullTags(c);
        if (Length(format) == 14)
        {
            bool real = format == EnvironmentFormat.Real16;
            ushort* words = (ushort*)buffer;
            words[0] = X87Image.Control(c);
            words[1] = X87Image.Status(c);
            words[2] = tags;
            words[3] = (ushort)instruction;
            words[4] = real ? (ushort)(((instruction >> 4) & 0xf000) | opcode) : (ushort)0;
            words[5] = (ushort)data;
            words[6] = real ? (ushort)((data >> 4) & 0xf000) : (ushort)0;
            return 14;
        }

        const uint Upper = 0xffff_0000;
        bool real32 = format == EnvironmentFormat.Real32;
        uint* dwords = (uint*)buffer;
        dwords[0] = Upper | X87Image.Control(c);
        dwords[1] = Upper | X87Image.Status(c);
        dwords[2] = Upper | tags;
        dwords[3] = real32 ? Upper | (ushort)instruction : instruction;
        dwords[4] = real32 ? ((instruction >> 4) & 0x0fff_f000) | opcode : opcode << 16;
        dwords[5] = real32 ? Upper | (ushort)data : data;
        dwords[6] = real32 ? (data >> 4) & 0x0fff_f000 : Upper;
        return 28;
    }

    /// <summary>Loads the environment.</summary>
    public static void Read(ProcessorContext* c, byte* buffer, EnvironmentFormat format)
    {
        ushort* words = (ushort*)buffer;
        uint* dwords = (uint*)buffer;
        bool small = Length(format) == 14;
        bool real = format is EnvironmentFormat.Real16 or EnvironmentFormat.Real32;
        uint instruction = small ? words[3] : dwords[3];
        uint selector = small ? words[4] : dwords[4];
        uint data = small ? words[5] : dwords[5];
        uint dataSelector = small ? words[6] : dwords[6];
        if (real)
        {
            instruction = (ushort)instruction | ((selector & 0x0fff_f000) << 4);
            data = (ushort)data | ((dataSelector & 0x0fff_f000) << 4);
        }

        X87Image.SetStatus(c, words[small ? 1 : 2]);
        X87Image.SetControl(c, words[0]);
        X87Image.SetFullTags(c, words[small ? 2 : 4]);
        X87Image.InstructionAddress(c) = instruction;
        X87Image.DataAddress(c) = data;
        if (real || !small)
        {
            X87Image.Opcode(c) = (ushort)((real ? selector : selector >> 16) & 0x7ff);
        }
    }
}
