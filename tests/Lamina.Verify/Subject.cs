namespace Lamina.Verify;

/// <summary>What is compared with the host's processor.</summary>
internal enum Subject
{
    /// <summary>The interpreter's handlers.</summary>
    Interpreter,

    /// <summary>The translator's first tier.</summary>
    Translator,

    /// <summary>Its second one.</summary>
    Optimized,
}
