namespace Lamina.Verify.Privileged;

/// <summary>What switches tasks.</summary>
internal enum TaskCause
{
    Jump,
    Call,
    Event,
    Return,
}
