using Lamina.Machine.Processors;

namespace Lamina.Boot;

/// <summary>A kernel of one image format whose headers have been found sound.</summary>
internal interface IKernel
{
    /// <summary>How it is entered.</summary>
    BootProtocol Protocol { get; }

    /// <summary>First address that it takes, for its image and for what it needs before it knows the memory map.</summary>
    ulong Start { get; }

    /// <summary>The address after the last that it takes.</summary>
    ulong End { get; }

    /// <summary>The highest address that a byte of the initial RAM disk may have.</summary>
    ulong InitrdMaximumAddress { get; }

    /// <summary>The longest command line, without the terminating zero.</summary>
    int CommandLineMaximumLength { get; }

    /// <summary>Writes the image and what is handed over with it.</summary>
    void Load(BootTarget target, in Handover handover);

    /// <summary>Turns the state after power-on reset into that at the kernel's entry.</summary>
    void SetEntryState(ProcessorState state);
}
