namespace Lamina.SoftCpu;

/// <summary>What became of a step of <see cref="InstructionAssist"/>.</summary>
public enum AssistOutcome
{
    /// <summary>It was done.</summary>
    Done,

    /// <summary>Triple fault.</summary>
    ShutDown,

    /// <summary>No processor can be in the state that was given.</summary>
    Impossible,
}
