namespace Lamina.Storage;

/// <summary>What becomes of a guest's write for which the host has no space.</summary>
public enum WriteErrorPolicy
{
    /// <summary>The guest is told of an error.</summary>
    Report,

    /// <summary>The request waits, and is tried again until there is space. Others go on.</summary>
    Wait,
}
