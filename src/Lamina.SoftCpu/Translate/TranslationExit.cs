namespace Lamina.SoftCpu.Translate;

/// <summary>Why translated code came back.</summary>
internal enum TranslationExit
{
    /// <summary>Go on at RIP.</summary>
    Dispatch = 0,

    /// <summary>One instruction is to be interpreted; execution may then resume behind it.</summary>
    Interpret = 1,

    /// <summary>Go on at a direct target, and connect the jump with it if it has a translation.</summary>
    Link = 2,
}
